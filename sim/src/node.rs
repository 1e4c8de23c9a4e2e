//! What runs on a host: an engine of any kind behind one object-safe trait.

use alloc::vec::Vec;
use core::any::Any;
use core::convert::Infallible;

use pinhole_proto::{Discard, Engine, Input, Instant, Output};

/// An order of an engine to its host: every [`Output`] but events.
pub type Order<'a> = Output<'a, Infallible>;

/// An engine whose events somebody else consumes.
pub trait Node {
    /// Hands one input to the engine.
    ///
    /// # Errors
    /// The engine's reason to ignore it.
    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Discard>;

    /// Passes every order that is waiting to `sink` and answers the engine's next deadline.
    fn drain(&mut self, now: Instant, sink: &mut dyn FnMut(Order<'_>)) -> Option<Instant>;

    /// The engine itself.
    fn engine(&self) -> &dyn Any;

    /// The engine itself.
    fn engine_mut(&mut self) -> &mut dyn Any;

    /// What became of the events: a `Vec<(Instant, T)>` in an [`EngineNode`].
    fn log(&self) -> &dyn Any;
}

/// An engine and the log of its events, each turned into a `T` of its own by a function.
#[derive(Debug)]
pub struct EngineNode<E, T, F> {
    engine: E,
    keep: F,
    log: Vec<(Instant, T)>,
}

impl<E, T, F> EngineNode<E, T, F>
where
    E: Engine + 'static,
    T: 'static,
    F: for<'a> FnMut(E::Event<'a>) -> Option<T> + 'static,
{
    /// Wraps an engine. `keep` turns an event into what the log keeps of it.
    pub const fn new(engine: E, keep: F) -> Self {
        Self { engine, keep, log: Vec::new() }
    }
}

impl<E, T, F> Node for EngineNode<E, T, F>
where
    E: Engine + 'static,
    T: 'static,
    F: for<'a> FnMut(E::Event<'a>) -> Option<T> + 'static,
{
    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Discard> {
        self.engine.handle_input(now, input)
    }

    fn drain(&mut self, now: Instant, sink: &mut dyn FnMut(Order<'_>)) -> Option<Instant> {
        loop {
            match self.engine.poll_output() {
                Output::Event(event) => {
                    if let Some(kept) = (self.keep)(event) {
                        self.log.push((now, kept));
                    }
                }
                Output::Wait(deadline) => return deadline,
                Output::Open { socket, transport, family, port, share } => {
                    sink(Output::Open { socket, transport, family, port, share })
                }
                Output::Shut { socket } => sink(Output::Shut { socket }),
                Output::Transmit { socket, local, remote, ttl, payload } => {
                    sink(Output::Transmit { socket, local, remote, ttl, payload })
                }
                Output::Dial { stream, from, local, remote, ttl } => {
                    sink(Output::Dial { stream, from, local, remote, ttl })
                }
                Output::Write { stream, octets } => sink(Output::Write { stream, octets }),
                Output::Read { stream, on } => sink(Output::Read { stream, on }),
                Output::Close { stream, abort } => sink(Output::Close { stream, abort }),
            }
        }
    }

    fn engine(&self) -> &dyn Any {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut dyn Any {
        &mut self.engine
    }

    fn log(&self) -> &dyn Any {
        &self.log
    }
}
