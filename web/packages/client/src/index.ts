export { Call, type CallState, type Media } from './call.js';
export { Client, type ClientOptions } from './client.js';
export type { LinkState } from './link.js';
export { RequestError, type Availability, type ErrorCode, type Presence } from './protocol.js';
export type { Quality } from './quality.js';
