// What a page hears, as a frequency: the loudest one of what a remote stream plays.
const context = () => (ears.context ??= new AudioContext());
const ears = {};

/** Gives a function that measures {hertz, level}; level is in dB below full scale. */
export function listenTo(stream) {
  // Chromium decodes a remote stream only when some element plays it.
  const element = new Audio();
  element.srcObject = stream;
  element.play().catch(() => {});
  const analyser = context().createAnalyser();
  analyser.fftSize = 8192;
  analyser.smoothingTimeConstant = 0;
  context().createMediaStreamSource(stream).connect(analyser);
  const bins = new Float32Array(analyser.frequencyBinCount);
  return () => {
    element.play().catch(() => {});
    context().resume();
    analyser.getFloatFrequencyData(bins);
    let best = 0;
    for (let i = 1; i < bins.length; ++i) if (bins[i] > bins[best]) best = i;
    return {hertz: (best * context().sampleRate) / analyser.fftSize, level: bins[best]};
  };
}

/** The remote audio of a peer connection, once it has some. */
export function remoteStream(connection) {
  const tracks = connection.getReceivers().map((r) => r.track).filter((t) => t && t.kind === 'audio');
  return new MediaStream(tracks);
}

/** What a test may ask of a connection. */
export async function connectionFacts(connection) {
  const facts = {local: connection.localDescription?.sdp, remote: connection.remoteDescription?.sdp,
                 state: connection.connectionState, ice: connection.iceConnectionState};
  const stats = await connection.getStats();
  for (const report of stats.values()) {
    if (report.type === 'inbound-rtp' && report.kind === 'audio') Object.assign(facts, {received: report.packetsReceived, lost: report.packetsLost, codec: stats.get(report.codecId)?.mimeType});
    if (report.type === 'outbound-rtp' && report.kind === 'audio') facts.sent = report.packetsSent;
    if (report.type === 'transport') Object.assign(facts, {dtls: report.dtlsState, cipher: report.srtpCipher});
  }
  return facts;
}
