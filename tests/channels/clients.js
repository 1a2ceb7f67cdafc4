// What a page or a Node program does with the unmodified packages: the SDK's clients ask where a channel is, the signalling client connects.
import {CreateSignalingChannelCommand, DeleteSignalingChannelCommand, DescribeSignalingChannelCommand, GetSignalingChannelEndpointCommand, KinesisVideoClient,
        ListSignalingChannelsCommand, UpdateSignalingChannelCommand} from '@aws-sdk/client-kinesis-video';
import {GetIceServerConfigCommand, KinesisVideoSignalingClient} from '@aws-sdk/client-kinesis-video-signaling';
import {Role, SignalingClient} from 'amazon-kinesis-video-streams-webrtc';

const commands = {CreateSignalingChannelCommand, DeleteSignalingChannelCommand, DescribeSignalingChannelCommand, GetSignalingChannelEndpointCommand,
                  ListSignalingChannelsCommand, UpdateSignalingChannelCommand, GetIceServerConfigCommand};

const options = ({endpoint, region, key, skew}) =>
    ({endpoint, region, maxAttempts: 1, systemClockOffset: (skew ?? 0) * 1000, credentials: {accessKeyId: key.id, secretAccessKey: key.secret}});

/** One operation: what it gave, or the exception that was thrown. */
export async function ask(where, name, input) {
  const Client = name === 'GetIceServerConfig' ? KinesisVideoSignalingClient : KinesisVideoClient;
  const client = new Client(options(where));
  try {
    const {$metadata, ...output} = await client.send(new commands[name + 'Command'](input));
    return {output};
  } catch (error) {
    return {error: {name: error.name, status: error.$metadata?.httpStatusCode, message: error.message}};
  } finally {
    client.destroy();
  }
}

const must = async (...what) => {
  const {output, error} = await ask(...what);
  if (error) throw new Error(`${what[1]}: ${error.name} ${error.message}`);
  return output;
};

/** As the packages' own examples do it: from the channel's name to a signalling client that is not open yet, and the ICE servers. */
export async function find(where, channel, role, clientId) {
  const {ChannelInfo} = await must(where, 'DescribeSignalingChannel', {ChannelName: channel});
  const channelARN = ChannelInfo.ChannelARN;
  const {ResourceEndpointList} = await must(where, 'GetSignalingChannelEndpoint', {
    ChannelARN: channelARN,
    SingleMasterChannelEndpointConfiguration: {Protocols: ['WSS', 'HTTPS'], Role: role},
  });
  const endpoints = Object.fromEntries(ResourceEndpointList.map((e) => [e.Protocol, e.ResourceEndpoint]));
  const {IceServerList} = await must({...where, endpoint: endpoints.HTTPS}, 'GetIceServerConfig', {ChannelARN: channelARN, ClientId: clientId});
  const signaling = new SignalingClient({
    channelARN,
    channelEndpoint: endpoints.WSS,
    clientId: role === 'VIEWER' ? clientId : undefined,
    role: Role[role],
    region: where.region,
    credentials: {accessKeyId: where.key.id, secretAccessKey: where.key.secret},
    systemClockOffset: 0,
  });
  return {signaling, iceServers: IceServerList.map((s) => ({urls: s.Uris, username: s.Username, credential: s.Password}))};
}
