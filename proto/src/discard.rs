//! Why something that the network sent was ignored.

/// One crime each. A discard is never answered with an error; some are answered by the message that
/// the chapter of the specification names (a cookie, a `Reset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Discard {
    /// The body is cut short, not canonical, or a value is out of its range.
    BodyMalformed,
    /// The relay channel is unknown.
    ChannelUnknown,
    /// The cookie is wrong or stale, and one is demanded.
    CookieInvalid,
    /// Opening the sealed part failed: it is not from the holder of the key.
    DecryptFailed,
    /// The extensions are out of order, repeated or cut short.
    ExtensionMalformed,
    /// An extension that must be understood is unknown.
    ExtensionUnknown,
    /// A Noise message does not verify.
    HandshakeFailed,
    /// The receiver index is not one that this engine issued.
    IndexUnknown,
    /// The kind of packet is unknown, private or GREASE.
    KindUnknown,
    /// The discovery magic is wrong.
    MagicWrong,
    /// The message does not belong where it appeared.
    MessageUnexpected,
    /// The nonce is not one that is outstanding.
    NonceUnknown,
    /// A right nonce, but not from where it was sent to.
    NonceWrongSource,
    /// The padding is not zero.
    PaddingNotZero,
    /// A rate or a table is at its bound.
    OverLimit,
    /// The path number was retired or there are too many.
    PathNumberRetired,
    /// The punch's proof does not belong to the session.
    ProofWrong,
    /// The counter was seen already or is too old.
    Replayed,
    /// The other side's answer belongs to no request.
    RequestUnknown,
    /// Octets that must be zero are not.
    ReservedNotZero,
    /// No such session.
    SessionUnknown,
    /// The engine did not open this socket.
    SocketUnknown,
    /// A relayed packet from another source than the one bound to the channel.
    SourceWrong,
    /// The packet number on a stream is not the previous one plus one.
    StreamOutOfOrder,
    /// No such stream.
    StreamUnknown,
    /// The token of a `Reset` is wrong.
    TokenWrong,
    /// Longer than a packet of its kind may be.
    TooLong,
    /// Shorter than a packet of its kind must be.
    TooShort,
    /// The transaction id belongs to no request.
    TransactionUnknown,
    /// The version is not one that this engine speaks.
    VersionUnsupported,
    /// A kind that only the other role receives.
    WrongRole,
}
