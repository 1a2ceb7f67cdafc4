// A master and a viewer as web pages: window.kvs is what the tests call.
import {ask, find} from './clients.js';

const peers = {};
let signaling = null;
const state = {opened: false, closed: false, errors: [], texts: [], offers: 0};

function connection(name, iceServers, iceTransportPolicy, send) {
  const peer = peers[name] = new RTCPeerConnection({iceServers, iceTransportPolicy});
  peer.onicecandidate = ({candidate}) => candidate && send(candidate);
  return peer;
}

function use(channel) {
  channel.onmessage = ({data}) => state.texts.push(data);
  return channel;
}

async function open(found) {
  signaling = found.signaling;
  signaling.on('error', (e) => state.errors.push(String(e?.message ?? e?.type ?? e)));
  signaling.on('close', () => state.closed = true);
  signaling.on('statusResponse', (s) => state.errors.push(s.errorType));
  await new Promise((done, failed) => {
    signaling.on('open', done);
    signaling.on('error', () => failed(new Error('the WebSocket was refused')));
    signaling.open();
  });
  state.opened = true;
}

const media = () => navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 180}});

window.kvs = {
  ask,
  async master(where, channel, policy) {
    const found = await find(where, channel, 'MASTER');
    const stream = await media();
    found.signaling.on('sdpOffer', async (offer, client) => {
      state.offers += 1;
      const peer = connection(client, found.iceServers, policy, (c) => signaling.sendIceCandidate(c, client));
      peer.ondatachannel = ({channel: c}) => use(c).onopen = () => c.send('from the master');
      for (const track of stream.getTracks()) peer.addTrack(track, stream);
      await peer.setRemoteDescription(offer);
      await peer.setLocalDescription();
      signaling.sendSdpAnswer(peer.localDescription, client);
    });
    found.signaling.on('iceCandidate', (candidate, client) => peers[client].addIceCandidate(candidate));
    await open(found);
  },
  async viewer(where, channel, client, policy) {
    const found = await find(where, channel, 'VIEWER', client);
    const stream = await media();
    const peer = connection('master', found.iceServers, policy, (c) => signaling.sendIceCandidate(c));
    const data = use(peer.createDataChannel('kvs'));
    data.onopen = () => data.send('from ' + client);
    for (const track of stream.getTracks()) peer.addTrack(track, stream);
    found.signaling.on('sdpAnswer', (answer) => peer.setRemoteDescription(answer));
    found.signaling.on('iceCandidate', (candidate) => peer.addIceCandidate(candidate));
    await open(found);
    await peer.setLocalDescription(await peer.createOffer());
    signaling.sendSdpOffer(peer.localDescription);
  },
  /** How it stands: of each connection whether it is up, what came of sound and pictures, and how its packets travel. */
  async state() {
    const connections = {};
    for (const [name, peer] of Object.entries(peers)) {
      const c = connections[name] = {state: peer.connectionState, audio: 0, frames: 0, via: null};
      const stats = await peer.getStats();
      for (const s of stats.values()) {
        if (s.type === 'inbound-rtp' && s.kind === 'audio') c.audio += s.packetsReceived;
        if (s.type === 'inbound-rtp' && s.kind === 'video') c.frames += s.framesDecoded ?? 0;
        if (s.type === 'candidate-pair' && s.nominated) c.via = stats.get(s.localCandidateId)?.candidateType;
      }
    }
    return {...state, connections};
  },
  leave() {
    signaling?.close();
    for (const peer of Object.values(peers)) peer.close();
  },
};
