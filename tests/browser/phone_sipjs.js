// A page's phone on SIP.js, as its documentation has it. Events go to window.log, in order.
import {Inviter, Messager, Registerer, RequestPendingError, SessionState, UserAgent} from 'sip.js';

import {connectionFacts, listenTo, remoteStream} from './ears.js';

const note = (kind, facts = {}) => window.log.push({kind, ...facts});
let ua, registerer, session, measure, extraHeaders;
const connection = () => session.sessionDescriptionHandler.peerConnection;
const uriOf = (text) => UserAgent.makeURI(text);

function take(next) {
  session = next;
  measure = null;
  session.stateChange.addListener((state) => {
    if (state === SessionState.Established) note('confirmed');
    if (state === SessionState.Terminated) note('ended');
  });
  session.delegate = {
    onInfo: (info) => { info.accept(); note('newInfo', {text: info.request.body}); },
    onBye: () => note('bye'),
    onRefer: (referral) => { note('refer'); referral.accept().then(() => referral.makeInviter().invite()); },
  };
}

window.phone = {
  async start({url, uri, password, jwt, name, user}) {
    // It has no setting for tokens: they go with each request that begins something.
    extraHeaders = jwt ? [`Authorization: Bearer ${jwt}`] : [];
    ua = new UserAgent({
      uri: uriOf(uri), displayName: name, ...(jwt ? {} : {authorizationUsername: user, authorizationPassword: password}), logLevel: 'warn',
      transportOptions: {server: url, keepAliveInterval: 2, keepAliveDebounce: 0}, gracefulDisconnect: true,
      sessionDescriptionHandlerFactoryOptions: {iceGatheringTimeout: 500},
      delegate: {
        onConnect: () => note('connected'),
        onDisconnect: (error) => note('disconnected', {why: error && String(error)}),
        onInvite: (invitation) => { take(invitation); note('incoming', {from: invitation.remoteIdentity.uri.user}); },
        onMessage: (message) => { message.accept(); note('message', {from: message.request.from.uri.user, text: message.request.body}); },
      },
    });
    await ua.start();
    registerer = new Registerer(ua, {expires: 120, extraHeaders});
    registerer.stateChange.addListener((state) => note(state.toLowerCase()));
  },
  register: () => registerer.register({requestDelegate: {onReject: (r) => note('registrationFailed', {status: r.message.statusCode})}}),
  unregister: () => registerer.unregister(),
  async call(target) {
    take(new Inviter(ua, uriOf(target), {extraHeaders, sessionDescriptionHandlerOptions: {constraints: {audio: true, video: false}}}));
    await session.invite({requestDelegate: {onReject: (r) => note('failed', {status: r.message.statusCode})}});
  },
  answer: () => session.accept({sessionDescriptionHandlerOptions: {constraints: {audio: true, video: false}}}),
  hangup() {
    if (session.state === SessionState.Established) return session.bye();
    return session instanceof Inviter ? session.cancel() : session.reject();
  },
  hold: (on = true) => new Promise((done, failed) => {
    session.sessionDescriptionHandlerOptionsReInvite = {hold: on};
    session.invite({requestDelegate: {onAccept: () => { note(on ? 'hold' : 'unhold'); done(); }, onReject: (r) => failed(new Error(r.message.statusCode))}})
        .catch((e) => (e instanceof RequestPendingError ? note('pending') : failed(e)));
  }),
  unhold: () => window.phone.hold(false),
  dtmf(tones, how) {
    if (how === 'rfc4733') return session.sessionDescriptionHandler.sendDtmf(tones, {duration: 120, interToneGap: 200});
    return (async () => {
      for (const tone of tones)
        await session.info({requestOptions: {body: {contentDisposition: 'render', contentType: 'application/dtmf-relay', content: `Signal=${tone}\r\nDuration=120`}}});
    })();
  },
  transfer: (target) => session.refer(uriOf(target), {requestDelegate: {onAccept: () => note('transferAccepted'), onReject: (r) => note('transferFailed', {status: r.message.statusCode})},
                                                     onNotify: (n) => { n.accept(); note('transferNotify', {text: n.request.body}); }}),
  async message(target, text) {
    await new Messager(ua, uriOf(target), text, 'text/plain', {extraHeaders}).message({requestDelegate: {onAccept: () => note('messageSent'), onReject: (r) => note('messageFailed', {status: r.message.statusCode})}});
  },
  heard() {
    measure ??= listenTo(remoteStream(connection()));
    return measure();
  },
  facts: () => connectionFacts(connection()),
};
