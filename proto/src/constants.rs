//! Every number of the protocol, each with the chapter of `spec/` that explains it.
//!
//! `spec/registries/limits.csv` is the source; a test compares the two.

use crate::time::Duration;

/// The protocol version that this crate speaks (`spec/wire.md`).
pub const VERSION: u8 = 1;
/// The default main port, UDP and TCP (`spec/discovery.md`).
pub const DEFAULT_PORT: u16 = 4653;
/// The default alternate port, UDP and TCP (`spec/discovery.md`).
pub const DEFAULT_ALTERNATE_PORT: u16 = 4654;

/// The longest packet, in octets, and the longest frame on a stream (`spec/wire.md`).
pub const MAX_PACKET: usize = 1_200;
/// The longest packet between peers: it fits into `Relayed` (`spec/relay.md`).
pub const MAX_PEER_PACKET: usize = 1_168;
/// What sealing adds to messages: header and tag (`spec/wire.md`).
pub const SEAL_OVERHEAD: usize = 32;
/// The length of `Discover`, and the most that `Discovered` may have (`spec/discovery.md`).
pub const DISCOVER_SIZE: usize = 200;
/// The length of `Register` (`spec/registration.md`).
pub const REGISTER_SIZE: usize = 256;
/// The most octets of `Registered` (`spec/registration.md`).
pub const MAX_REGISTERED: usize = 200;
/// The length of `Punch`, and the most that `PunchReply` may have (`spec/punching.md`).
pub const PUNCH_SIZE: usize = 256;
/// The most octets of a Noise message 1 between peers (`spec/introduction.md`).
pub const MAX_MESSAGE_1: usize = 768;
/// The most octets of a Noise message 2 between peers (`spec/punching.md`).
pub const MAX_MESSAGE_2: usize = 140;
/// The longest datagram of a session, in octets (`spec/sessions.md`).
pub const MAX_DATAGRAM: usize = 1_133;
/// The most octets in one `Data` (`spec/sessions.md`).
pub const MAX_DATA: usize = 1_125;
/// The most versions in a list (`spec/discovery.md`).
pub const MAX_VERSIONS: usize = 8;
/// The most alternate endpoints that a server tells (`spec/discovery.md`).
pub const MAX_ALTERNATES: usize = 3;
/// The most server keys that a server tells (`spec/discovery.md`).
pub const MAX_SERVER_KEYS: usize = 2;
/// The most extensions behind a body (`spec/wire.md`).
pub const MAX_EXTENSIONS: usize = 16;
/// The most private endpoints that a peer reports to the server or the other peer (`spec/introduction.md`).
pub const MAX_PRIVATE: usize = 4;
/// The most candidates of a session (`spec/punching.md`).
pub const MAX_CANDIDATES: usize = 8;

/// The registration lifetime (`spec/registration.md`).
pub const REGISTRATION_LIFETIME: Duration = Duration::from_secs(120);
/// The interval between refreshes (`spec/registration.md`).
pub const REFRESH: Duration = Duration::from_secs(25);
/// The shortest interval between refreshes that a server may ask for (`spec/registration.md`).
pub const MIN_REFRESH: Duration = Duration::from_secs(15);
/// The longest interval between refreshes that a server may ask for (`spec/registration.md`).
pub const MAX_REFRESH: Duration = Duration::from_secs(60);
/// How long a server remembers a `Register` without its `PathReply` (`spec/registration.md`).
pub const PENDING_LIFETIME: Duration = Duration::from_secs(10);
/// How many sources may answer one message 1 (`spec/registration.md`).
pub const MAX_PENDING_SOURCES: usize = 3;
/// How long the old endpoint of a registration has to answer (`spec/registration.md`).
pub const MOVE_CHECK: Duration = Duration::from_secs(1);
/// How long a dial that a stream asked for is waited for (`spec/behaviour.md`).
pub const DIAL_BACK_PATIENCE: Duration = Duration::from_secs(5);
/// The most dials at once that streams asked for (`spec/behaviour.md`).
pub const MAX_DIAL_BACKS: usize = 64;
/// The dials a second that streams of one source may ask for (`spec/behaviour.md`).
pub const DIAL_BACKS_PER_SECOND: u32 = 1;
/// Those that may come at once (`spec/behaviour.md`).
pub const DIAL_BACKS_BURST: u32 = 8;
/// The longest silence by which a timeout is measured (`spec/behaviour.md`).
pub const MAX_SILENCE: Duration = Duration::from_secs(600);
/// How often cookie secrets change; two are valid (`spec/discovery.md`).
pub const COOKIE_ROTATION: Duration = Duration::from_secs(60);
/// The most `Reset`s a second to one source (`spec/registration.md`).
pub const RESETS_PER_SECOND: u32 = 10;
/// The most introductions a second to one peer (`spec/introduction.md`).
pub const INTRODUCTIONS_PER_SECOND: u32 = 10;
/// The most introductions a second to one peer by one other (`spec/introduction.md`).
pub const INTRODUCTIONS_PER_PAIR: u32 = 1;
/// Introductions of one peer to one other that may come at once: a glare, or a quick second call, is no
/// flood (`spec/introduction.md`).
pub const INTRODUCTIONS_PER_PAIR_BURST: u32 = 2;
/// The most keys whose rate a server remembers, in each of its rate tables (`spec/limits.md`).
pub const MAX_RATES: usize = 16_384;
/// The bindings of a registration: transport and family (`spec/registration.md`).
pub const MAX_BINDINGS: usize = 4;

/// The first repetition of a request, at least (`spec/sessions.md`, "Requests").
pub const REQUEST_RETRY: Duration = Duration::from_millis(100);
/// The most repetitions of a request (`spec/sessions.md`, "Requests").
pub const MAX_REQUEST_RETRIES: u8 = 6;
/// The most requests that an association has unanswered (`spec/sessions.md`, "Requests").
pub const MAX_REQUESTS: usize = 32;
/// How many answered requests are remembered (`spec/sessions.md`, "Requests").
pub const MAX_ANSWERS: usize = 32;

/// Bits of a replay window (`spec/security.md`).
pub const REPLAY_WINDOW: usize = 1_024;
/// How long a key is used (`spec/security.md`, "Keys").
pub const KEY_LIFETIME: Duration = Duration::from_secs(86_400);
/// The most path numbers of a sender that are open at once (`spec/security.md`).
pub const MAX_PATH_NUMBERS: usize = 32;

/// When `Punch` and `PunchReply` go to each candidate, from the start of the attempt, in milliseconds
/// (`spec/punching.md`).
pub const PUNCH_TIMES: [u64; 6] = [0, 40, 120, 280, 600, 1_240];
/// How long an attempt waits for a path (`spec/punching.md`).
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(3_000);
/// How long an attempt over TCP waits for a path (`spec/punching-tcp.md`).
pub const TCP_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(8_000);
/// The most attempts of a session, counted from its start or its last direct path (`spec/punching.md`).
pub const MAX_ATTEMPTS: u8 = 6;
/// The most proposals of the other side that a peer takes within a minute (`spec/punching.md`, "Attempts").
pub const ATTEMPTS_PER_MINUTE: u8 = 12;
/// The most addresses in an attempt that only the other peer vouches for (`spec/punching.md`, "Attempts").
pub const MAX_UNNAMED: usize = 2;
/// How long an attempt that guesses waits for a path after its beginning (`spec/prediction.md`).
pub const GUESS_TIMEOUT: Duration = Duration::from_millis(2_000);
/// How long a birthday attempt does (`spec/prediction.md`, "Birthday").
pub const BIRTHDAY_TIMEOUT: Duration = Duration::from_millis(6_000);
/// When the shots of a volley leave, from its beginning, in milliseconds (`spec/prediction.md`).
pub const VOLLEY_TIMES: [u64; 3] = [0, 150, 500];
/// The windows of the attempts with prediction, in turn (`spec/prediction.md`).
pub const WINDOWS: [u16; 3] = [1, 8, 64];
/// The largest window (`spec/prediction.md`).
pub const MAX_WINDOW: u16 = 64;
/// Samples of a port allocation (`spec/prediction.md`, "Samples").
pub const SAMPLES: u8 = 3;
/// How long the answer to a sample is waited for (`spec/prediction.md`, "Samples").
pub const SAMPLE_RETRY: Duration = Duration::from_millis(250);
/// How often a sample is asked for (`spec/prediction.md`, "Samples").
pub const MAX_SAMPLE_TRIES: u8 = 4;
/// The largest distance of two samples that follow each other (`spec/prediction.md`, "Samples").
pub const MAX_STEP: u16 = 16;
/// Shots at one address in [`SHOT_PERIOD`] (`spec/prediction.md`, "Budget").
pub const MAX_SHOTS: u32 = 1_500;
/// The period of the budget of shots (`spec/prediction.md`, "Budget").
pub const SHOT_PERIOD: Duration = Duration::from_secs(60);
/// The most addresses that are shot at in [`SHOT_PERIOD`] (`spec/prediction.md`, "Budget").
pub const MAX_SHOT_AT: usize = 64;
/// The most throw-away sockets of a peer (`spec/prediction.md`, "Budget").
pub const MAX_THROW_AWAY: usize = 512;
/// Sockets of the side with random ports (`spec/prediction.md`, "Birthday").
pub const BIRTHDAY_SOCKETS: u16 = 256;
/// Ports that the other side tries (`spec/prediction.md`, "Birthday").
pub const BIRTHDAY_PORTS: u16 = 1_180;
/// The time between two of them (`spec/prediction.md`, "Birthday").
pub const BIRTHDAY_INTERVAL: Duration = Duration::from_millis(4);
/// How much of a delay of its own a peer makes up for with shots that leave at once (`spec/prediction.md`,
/// "Birthday").
pub const BIRTHDAY_CATCH_UP: Duration = Duration::from_millis(100);
/// How long after the beginning of a birthday attempt the last shot may leave (`spec/prediction.md`, "Birthday").
pub const BIRTHDAY_SPAN: Duration = Duration::from_millis(4_900);
/// The lowest port that is guessed (`spec/prediction.md`, "Birthday").
pub const LOWEST_PORT: u16 = 1_024;
/// How long packets with a small TTL go ahead of the others (`spec/punching.md`, "Low TTL").
pub const LOW_TTL_DELAY: Duration = Duration::from_millis(500);
/// The most Noise messages 2 that an initiator tries for a session (`spec/punching.md`).
pub const MAX_MESSAGE_2_TRIES: u8 = 8;
/// The most punches for sessions that are not introduced yet (`spec/punching.md`).
pub const MAX_EARLY_PUNCHES: usize = 16;
/// How long such a punch is remembered (`spec/punching.md`).
pub const EARLY_PUNCH_LIFETIME: Duration = Duration::from_secs(2);
/// Packets to one unproved address in [`PROBE_PERIOD`] (`spec/punching.md`, "Budgets").
pub const MAX_PROBES: u32 = 12;
/// Octets to one unproved address in [`PROBE_PERIOD`] (`spec/punching.md`, "Budgets").
pub const MAX_PROBE_OCTETS: u32 = 2_000;
/// The period of the probe budget (`spec/punching.md`, "Budgets").
pub const PROBE_PERIOD: Duration = Duration::from_secs(10);
/// The most unproved addresses whose budget is remembered (`spec/punching.md`, "Budgets").
pub const MAX_PROBED: usize = 1_024;
/// On a heard path, octets sent per octet received (`spec/punching.md`, "Paths").
pub const HEARD_FACTOR: u64 = 3;
/// The most octets sent on a heard path (`spec/punching.md`, "Paths").
pub const MAX_HEARD_OCTETS: u64 = 4_800;
/// The most paths of a session (`spec/punching.md`).
pub const MAX_PATHS: usize = 16;

/// The interval of keepalives on an idle path, as long as no longer one is known to be safe (`spec/keepalive.md`).
pub const KEEPALIVE: Duration = Duration::from_secs(15);
/// The most unanswered keepalives (`spec/keepalive.md`).
pub const MAX_UNANSWERED: u8 = 3;
/// How long an unanswered keepalive is waited for (`spec/keepalive.md`).
pub const KEEPALIVE_RETRY: Duration = Duration::from_secs(3);
/// So many packets of data without an answer make a path busy (`spec/keepalive.md`, "In use").
pub const BUSY_PACKETS: u16 = 4;
/// How long data leaves on a busy path without an answer before it is checked (`spec/keepalive.md`).
pub const BUSY_PATIENCE: Duration = Duration::from_millis(500);
/// How long an answer is waited for on a busy path, at least (`spec/keepalive.md`).
pub const BUSY_RETRY: Duration = Duration::from_millis(250);
/// The most unanswered checks of a busy path (`spec/keepalive.md`).
pub const MAX_UNANSWERED_BUSY: u8 = 6;
/// The silences that a peer tries on spare mappings, in seconds (`spec/keepalive.md`, "How long a NAT waits").
pub const KEEPALIVE_STEPS: [u8; 5] = [9, 18, 28, 57, 118];
/// The longest interval of keepalives (`spec/keepalive.md`).
pub const MAX_KEEPALIVE: Duration = Duration::from_secs(120);
/// How much earlier than the responder the initiator sends a keepalive (`spec/keepalive.md`).
pub const KEEPALIVE_LEAD: Duration = Duration::from_millis(500);
/// How long an answer to an `Echo` is waited for after its time (`spec/keepalive.md`).
pub const ECHO_GRACE: Duration = Duration::from_secs(2);
/// The most `Echo`s of a registration that wait for their time (`spec/keepalive.md`).
pub const MAX_ECHOES: usize = 4;
/// How long consent to send on a path lasts without an authentic packet (`spec/keepalive.md`).
pub const CONSENT: Duration = Duration::from_secs(30);

/// The wait before a dial is repeated that a reset ended (`spec/punching-tcp.md`).
pub const DIAL_RETRY_AFTER_RESET: Duration = Duration::from_millis(200);
/// The wait before a dial is repeated that anything else ended (`spec/punching-tcp.md`).
pub const DIAL_RETRY: Duration = Duration::from_secs(1);
/// By how many percent either wait is longer or shorter, at random (`spec/punching-tcp.md`).
pub const DIAL_JITTER: u8 = 20;
/// The most dials to one candidate in an attempt (`spec/punching-tcp.md`).
pub const MAX_DIALS: u8 = 6;
/// How long an accepted stream has for its first frame (`spec/punching-tcp.md`).
pub const FIRST_FRAME: Duration = Duration::from_secs(5);
/// The most streams that have not named their session (`spec/punching-tcp.md`).
pub const MAX_UNPROVED_STREAMS: usize = 32;
/// How long the initiator keeps the streams that lost (`spec/punching-tcp.md`).
pub const LOSER_LINGER: Duration = Duration::from_secs(2);

/// The window of a byte stream, in octets (`spec/sessions.md`).
pub const STREAM_WINDOW: usize = 262_144;
/// How long octets wait for their acknowledgement before one message of them is sent again; doubled with every try
/// that nothing follows (`spec/sessions.md`).
pub const STREAM_RETRY: Duration = Duration::from_secs(2);
/// The longest wait before a message of the byte stream is sent again (`spec/sessions.md`).
pub const MAX_STREAM_RETRY: Duration = Duration::from_secs(16);
/// The most sessions of a peer (`spec/sessions.md`).
pub const MAX_SESSIONS: usize = 1_024;

/// How long an unused relay channel lives (`spec/relay.md`).
pub const CHANNEL_UNUSED: Duration = Duration::from_secs(30);
/// How long a used relay channel lives after its last packet (`spec/relay.md`).
pub const CHANNEL_USED: Duration = Duration::from_secs(120);

/// Unwritten octets of a stream above which its relay partners are not read (`spec/relay.md`).
pub const RELAY_PAUSE: usize = 131_072;
/// Unwritten octets of a stream below which they are read again (`spec/relay.md`).
pub const RELAY_RESUME: usize = 65_536;
/// Unwritten octets of a stream above which nothing is relayed to it; the rest of
/// [`MAX_UNWRITTEN`](crate::engine::MAX_UNWRITTEN) is for control messages (`spec/relay.md`).
pub const RELAY_FULL: usize = 229_376;
/// Unanswered questions of an engine to others, and answers that it remembers (`spec/limits.md`).
pub const MAX_FORWARDS: usize = 4_096;
/// How long such an answer is remembered, at most (`spec/limits.md`).
pub const FORWARD_MEMORY: Duration = Duration::from_secs(20);
/// Octets of a stream's relay channel that are on their way to another engine (`spec/relay.md`).
pub const FORWARD_WINDOW: usize = 65_536;
/// How long a stream may hold up its relay partners without taking an octet (`spec/relay.md`).
pub const RELAY_STALL: Duration = Duration::from_secs(30);

/// How long a peer waits for `Discovered` or `Registered` before it sends again (`spec/registration.md`).
pub const REGISTER_RETRY: Duration = Duration::from_millis(500);
/// The longest wait between two tries to register (`spec/registration.md`).
pub const MAX_REGISTER_RETRY: Duration = Duration::from_secs(8);
/// When a server that never answered is called unreachable (`spec/registration.md`).
pub const SERVER_UNREACHABLE: Duration = Duration::from_secs(5);
