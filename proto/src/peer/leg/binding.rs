//! One transport and family of the leg to the server.

use alloc::vec::Vec;
use core::time::Duration;

use super::idle::Idle;
use crate::alternates::Alternates;
use crate::association::Lane;
use crate::endpoint::{Endpoint, Family};
use crate::engine::{SocketId, StreamId, Transport};
use crate::noise::Recipe;
use crate::wire::Versions;
use crate::wire::code::Mapping;
use crate::wire::discover::{Cookie, TransactionId};
use crate::wire::sealed::Index;

/// One transport and family.
#[derive(Clone)]
pub(in crate::peer) struct Binding {
    pub(in crate::peer) transport: Transport,
    pub(in crate::peer) family: Family,
    pub(in crate::peer) server: Endpoint,
    pub(in crate::peer) socket: SocketId,
    pub(super) stream: Option<StreamId>,
    pub(super) stage: Stage,
    /// Tries since the last progress.
    pub(super) tries: u32,
    pub(super) lane: Option<Lane>,
    /// The endpoint that the server observed, from a sealed message.
    pub(in crate::peer) public: Option<Endpoint>,
    pub(super) alternates: Alternates,
    pub(super) behaviour: Behaviour,
    /// How the NAT on the way maps.
    pub(in crate::peer) mapping: Mapping,
    pub(super) interval: Duration,
    /// How long the NAT on the way keeps a mapping that nobody uses.
    pub(in crate::peer) idle: Idle,
}

/// How far a binding is. See `spec/registration.md`, "The peer's states".
#[derive(Clone)]
pub(super) enum Stage {
    /// The port is not open, or the stream has ended: wait.
    Down,
    /// TCP: the connection is being made.
    Dialling,
    /// `Discover` was sent.
    Discovering { transaction: TransactionId, offered: Versions },
    /// Another binding is registering.
    Discovered { cookie: Cookie, offered: Versions, answered: Versions },
    /// `Register` was sent.
    Registering { packet: Vec<u8>, recipe: Recipe, index: Index, prologue: Vec<u8> },
    /// `Refresh` was sent from here for the first time.
    Joining,
    /// The server knows it.
    Online,
}

/// The measurement of the mapping: a `Discover` to the server's other port, then one to its other address.
#[derive(Clone, Copy)]
pub(super) enum Behaviour {
    Idle,
    Asked { what: Alternate, transaction: TransactionId, tries: u8, stream: Option<StreamId> },
    Done,
}

/// Which of the server's other endpoints is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Alternate {
    Port,
    Address,
}

impl Binding {
    pub(super) fn new(transport: Transport, server: Endpoint, socket: SocketId, interval: Duration) -> Self {
        Self {
            transport,
            family: server.family(),
            server,
            socket,
            stream: None,
            stage: Stage::Down,
            tries: 0,
            lane: None,
            public: None,
            alternates: Alternates::default(),
            behaviour: Behaviour::Idle,
            mapping: Mapping::UNKNOWN,
            interval,
            idle: Idle::default(),
        }
    }

    pub(in crate::peer) const fn is_online(&self) -> bool {
        matches!(self.stage, Stage::Online)
    }

    pub(in crate::peer) const fn stage_name(&self) -> &'static str {
        match self.stage {
            Stage::Down => "down",
            Stage::Dialling => "dialling",
            Stage::Discovering { .. } => "discovering",
            Stage::Discovered { .. } => "discovered",
            Stage::Registering { .. } => "registering",
            Stage::Joining => "joining",
            Stage::Online => "online",
        }
    }
}
