// A page's phone on JsSIP, as its documentation has it. Events go to window.log, in order.
import JsSIP from 'jssip';

import {connectionFacts, listenTo, remoteStream} from './ears.js';

const note = (kind, facts = {}) => window.log.push({kind, ...facts});
let ua, session, measure, sockets = [];

function take(next) {
  session = next;
  measure = null;
  for (const name of ['progress', 'accepted', 'confirmed', 'hold', 'unhold', 'newDTMF', 'newInfo'])
    session.on(name, (e) => note(name, {originator: e.originator, tone: e.dtmf?.tone}));
  session.on('ended', (e) => note('ended', {cause: e.cause, originator: e.originator}));
  session.on('failed', (e) => note('failed', {cause: e.cause, status: e.message?.status_code}));
  session.on('getusermediafailed', (e) => note('getusermediafailed', {why: String(e)}));
}

window.phone = {
  start({url, uri, password, jwt, name}) {
    const socket = new JsSIP.WebSocketInterface(url);
    sockets.push(socket);
    const settings = {sockets: [socket], uri, display_name: name, session_timers: true, register: false, register_expires: 120,
                      connection_recovery_min_interval: 1, connection_recovery_max_interval: 1};
    ua = new JsSIP.UA(jwt ? {...settings, authorization_jwt: `Bearer ${jwt}`} : {...settings, password});
    for (const name of ['connected', 'disconnected', 'registered', 'unregistered'])
      ua.on(name, () => note(name));
    ua.on('registrationFailed', (e) => note('registrationFailed', {cause: e.cause, status: e.response?.status_code}));
    ua.on('newRTCSession', (e) => {
      if (e.originator !== 'remote') return;
      take(e.session);
      note('incoming', {from: e.request.from.uri.user});
    });
    ua.on('newMessage', (e) => {
      if (e.originator === 'remote') note('message', {from: e.request.from.uri.user, text: e.request.body});
    });
    ua.start();
  },
  register: () => ua.register(),
  unregister: () => ua.unregister(),
  call(target) {
    const made = ua.call(target, {mediaConstraints: {audio: true, video: false}});
    take(made);
  },
  answer: () => session.answer({mediaConstraints: {audio: true, video: false}}),
  hangup: () => session.terminate(),
  hold: () => session.hold(),
  unhold: () => session.unhold(),
  dtmf: (tones, how) =>
    session.sendDTMF(tones, {duration: 120, interToneGap: 200, transportType: how === 'rfc4733' ? JsSIP.C.DTMF_TRANSPORT.RFC2833 : JsSIP.C.DTMF_TRANSPORT.INFO}),
  transfer(target) {
    session.refer(target, {eventHandlers: {
      accepted: () => note('transferred'),
      failed: (e) => note('transferFailed', {cause: e.cause, status: e.status_line?.status_code}),
      requestFailed: (e) => note('transferFailed', {cause: e.cause}),
      trying: () => note('transferTrying')}});
  },
  message(target, text) {
    ua.sendMessage(target, text, {eventHandlers: {succeeded: () => note('messageSent'), failed: (e) => note('messageFailed', {cause: e.cause})}});
  },
  /** The connection dies as a network change kills it: without a word to anybody. */
  drop: () => sockets[0]._ws.close(),
  heard() {
    measure ??= listenTo(remoteStream(session.connection));
    return measure();
  },
  facts: () => connectionFacts(session.connection),
};
