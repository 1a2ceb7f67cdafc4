// A page's phone on @tandem/client, as its README has it. Events go to window.log, in order.
import {Client} from '../../web/packages/client/src/index.ts';

import {connectionFacts, listenTo} from './ears.js';

const note = (kind, facts = {}) => window.log.push({kind, ...facts});
let client, call, measure, connection, media;

/** It offers and takes these codecs alone, by kind: {audio: ['opus'], video: ['H264']}. What carries no sound or picture of its own stays, but
 *  without `repair` what was lost comes no second time. */
function speaking(made, codecs, repair) {
  const besides = repair ? ['rtx', 'telephone-event'] : ['telephone-event'];
  for (const name of ['createOffer', 'createAnswer']) {
    const plain = made[name].bind(made);
    made[name] = (...options) => {
      for (const t of made.getTransceivers()) {
        const {kind} = t.receiver.track, wanted = codecs[kind];
        if (wanted) t.setCodecPreferences(RTCRtpReceiver.getCapabilities(kind).codecs.filter(({mimeType}) => [...wanted, ...besides].includes(mimeType.split('/')[1])));
      }
      return repair ? plain(...options) : plain(...options).then(({type, sdp}) => ({type, sdp: sdp.replace(/a=rtcp-fb:\d+ (nack|ccm).*\r\n/g, '')}));
    };
  }
  return made;
}

function take(next) {
  call = next;
  measure = null;
  call.on('state', (state) => state === 'up' && note('confirmed'));
  call.on('ended', (e) => note('ended', {by: e.by, status: e.status}));
  call.on('dtmf', (tone) => note('newDTMF', {tone}));
  call.on('transfer', (e) => note('transfer', e));
}

window.phone = {
  async start({url, uri, password, jwt, iceServers, relayOnly, video, codecs = {}, repair = true}) {
    media = {relayOnly, ...(iceServers ? {iceServers} : {}), constraints: {audio: true, video: video ? {width: 320, height: 180} : false}};
    client = new Client({
      url: url.replace(/sip$/, 'rtc'), user: uri.replace('sip:', ''), ...(jwt ? {token: () => jwt} : {password}), media,
      createConnection: (configuration) => (connection = speaking(new RTCPeerConnection(configuration), codecs, repair)),
    });
    client.on('state', (state) => note(state === 'online' ? 'connected' : state));
    client.on('registered', (e) => note('registered', e));
    client.on('incoming', (next) => { take(next); note('incoming', {from: next.peer.replace(/^sips?:|@.*/g, '')}); });
    await client.connect();
  },
  register: () => client.register(),
  async call(target) { await client.call(target.replace('sip:', ''), media, take); },
  answer: () => call.answer(),
  offered: () => call.offer,
  hangup: () => call.hangUp(),
  /** Calls; how many milliseconds after the click the first sample of the other side came that is no silence. */
  async clickToAudio(target) {
    const begun = performance.now();
    const context = (window.ear ??= new AudioContext());
    return new Promise((resolve, reject) => {
      client.call(target.replace('sip:', ''), media, (next) => {
        take(next);
        next.on('stream', (stream) => {
          new Audio().srcObject = stream;  // Chromium decodes only what an element has
          const analyser = context.createAnalyser();
          analyser.fftSize = 256;
          context.createMediaStreamSource(stream).connect(analyser);
          const samples = new Float32Array(analyser.fftSize);
          const look = () => {
            analyser.getFloatTimeDomainData(samples);
            if (next.state === 'up' && samples.some((v) => Math.abs(v) > 0.01)) resolve(performance.now() - begun);
            else setTimeout(look);
          };
          look();
        });
      }).catch(reject);
    });
  },
  async heard() {
    // A call is up when the server says so; its sound comes once the browser has taken the answer.
    if (!call.remote) await new Promise((done) => call.on('stream', done));
    measure ??= listenTo(call.remote);
    return measure();
  },
  /** The picture of the other side, as it is now: its size, and how much its brightness varies. */
  async picture() {
    const video = (window.screenOf ??= document.createElement('video'));
    video.muted = true;
    if (video.srcObject !== call.remote) video.srcObject = call.remote;
    await video.play();
    const canvas = new OffscreenCanvas(video.videoWidth || 1, video.videoHeight || 1), painter = canvas.getContext('2d');
    painter.drawImage(video, 0, 0);
    const {data} = painter.getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0, squares = 0;
    for (let i = 1; i < data.length; i += 4) sum += data[i], squares += data[i] ** 2;
    const mean = sum / (data.length / 4);
    return {width: video.videoWidth, height: video.videoHeight, spread: Math.sqrt(squares / (data.length / 4) - mean ** 2)};
  },
  async facts() {
    const stats = await connection.getStats();
    let path = {};
    for (const report of stats.values())
      if (report.type === 'transport' && report.selectedCandidatePairId) {
        const local = stats.get(stats.get(report.selectedCandidatePairId).localCandidateId);
        path = {candidate: local.candidateType, address: local.address, relay: local.relayProtocol, url: local.url,
                outgoingBitrate: stats.get(report.selectedCandidatePairId).availableOutgoingBitrate};
      }
    let pictures = {};
    for (const report of stats.values()) {
      if (report.kind !== 'video') continue;
      if (report.type === 'inbound-rtp')
        Object.assign(pictures, {frames: report.framesDecoded, width: report.frameWidth, height: report.frameHeight, codec: stats.get(report.codecId)?.mimeType,
                                 lost: report.packetsLost, packets: report.packetsReceived, nacks: report.nackCount, keyFramesAsked: report.pliCount + report.firCount,
                                 keyFrames: report.keyFramesDecoded, repaired: report.retransmittedPacketsReceived ?? 0, frozen: report.totalFreezesDuration});
      if (report.type === 'outbound-rtp')
        Object.assign(pictures, {sentFrames: report.framesEncoded, sentPackets: report.packetsSent, resent: report.retransmittedPacketsSent, nacksHeard: report.nackCount,
                                 keyFramesWanted: report.pliCount + report.firCount, sentKeyFrames: report.keyFramesEncoded});
    }
    return {...(await connectionFacts(connection)), ...path, pictures};
  },
};
