//! What the server's messages mean for sessions (`spec/introduction.md`).

use alloc::vec::Vec;

use super::leg::{News, Slot};
use super::session::{Role, Session, Stage};
use super::{Accept, Discard, Introduce, MAX_SESSIONS, Peer, PeerId, Refusal, Refuse, Reply, RequestId, SessionHandle};

impl Peer {
    pub(super) fn on_news(&mut self, news: Vec<News>) {
        let answered = !news.is_empty();
        for news in news {
            match news {
                News::Online => {
                    for session in self.sessions.values_mut() {
                        session.on_online(&mut self.core, &mut self.leg);
                    }
                }
                News::Changed(family) => {
                    for session in self.sessions.values_mut() {
                        session.on_mapping_changed(&mut self.core, &mut self.leg, family);
                    }
                }
                News::Offline(slot) => {
                    for session in self.sessions.values_mut() {
                        session.on_offline(&mut self.core, slot);
                    }
                }
                News::Introduced(handle, slot, introduced) => {
                    self.with_known(handle, |session, core, leg| session.on_introduced(core, leg, slot, &introduced));
                }
                News::Refused(handle, code) => self.refuse(handle, code),
                News::Silent(handle) => {
                    let over = self.sessions.get_mut(&handle).is_some_and(|session| session.on_silent(&mut self.core));
                    if over {
                        self.forget(handle);
                    }
                }
                News::Introduce(slot, request, introduce) => self.on_introduce(slot, request, &introduce),
                News::Answered(answered) => {
                    if let Some(handle) = self.by_id(&answered.session) {
                        self.with_known(handle, |session, core, leg| {
                            session.on_answered(core, leg, &answered.candidates, &answered.message_2);
                        });
                    }
                }
                News::Rejected(rejected) => {
                    if let Some(handle) = self.by_id(&rejected.session) {
                        self.refuse(handle, rejected.code);
                    }
                }
                News::Channel(handle, opened) => {
                    self.with_known(handle, |session, core, leg| session.on_channel(core, leg, opened));
                }
            }
        }
        // What was answered made room for a request that there was none for.
        if answered {
            for session in self.sessions.values_mut().filter(|session| session.stage() == Stage::Asking) {
                session.on_online(&mut self.core, &mut self.leg);
            }
        }
    }

    fn refuse(&mut self, handle: SessionHandle, code: Refusal) {
        let over = self.sessions.get_mut(&handle).is_some_and(|session| session.on_refused(&mut self.core, code));
        if over {
            self.forget(handle);
        }
    }

    /// A peer wants a session with this one.
    fn on_introduce(&mut self, slot: Slot, request: RequestId, introduce: &Introduce) {
        let initiator = introduce.initiator;
        if let Some(handle) = self.by_id(&introduce.session) {
            // [R-INTRO-012]
            if let Some(answer) = self.sessions.get(&handle).and_then(|session| session.answered(&introduce.message_1))
            {
                self.leg.answer(&mut self.core, slot, request, Reply::Answer(answer));
            } else {
                self.core.note(Discard::HandshakeFailed);
            }
            return;
        }
        // Glare: both asked. The session of the lower id is kept, and both `connect`s end with it.
        let own = self
            .sessions
            .values()
            .find(|session| {
                session.peer == initiator
                    && session.is_initiator()
                    && matches!(session.stage(), Stage::Asking | Stage::Introduced)
            })
            .map(|session| session.handle);
        // [R-INTRO-016]
        if own.is_some() && self.core.id < initiator {
            // The other side does the same sum: it drops this request and answers the one of this side.
            return;
        }
        let refusal = if initiator == self.core.id || (own.is_none() && !self.accepts(&initiator)) {
            // [R-INTRO-009]
            Some(Refusal::REFUSED)
        } else if own.is_none() && self.sessions.len() >= MAX_SESSIONS {
            Some(Refusal::LIMITED)
        } else {
            None
        };
        if let Some(code) = refusal {
            return self.leg.answer(&mut self.core, slot, request, Reply::Refuse(Refuse { code }));
        }
        let handle = own.unwrap_or_else(|| self.next_handle());
        let role = Role::Responder { hash: [0; 32], message_2: Vec::new() };
        let mut session = Session::new(&mut self.core, handle, initiator, introduce.session, role, false);
        match session.respond(&mut self.core, &mut self.leg, slot, introduce) {
            Err(code) => self.leg.answer(&mut self.core, slot, request, Reply::Refuse(Refuse { code })),
            Ok(answer) => {
                if own.is_some() {
                    if let Some(dropped) = self.sessions.get_mut(&handle) {
                        session.take_over(dropped);
                    }
                    self.forget(handle);
                    session.set_asked();
                    session.keep_waiting(&mut self.core);
                }
                self.leg.answer(&mut self.core, slot, request, Reply::Answer(answer));
                // [R-INTRO-003]
                session.start_attempt(&mut self.core, 1);
                for (source, punch) in self.early.take(self.core.now, &introduce.session) {
                    if let Err(discard) = session.on_punch(&mut self.core, source, &punch) {
                        self.core.note(discard);
                    }
                }
                self.sessions.insert(handle, session);
            }
        }
    }

    fn accepts(&self, peer: &PeerId) -> bool {
        match &self.core.config.accept {
            Accept::Nobody => false,
            Accept::Only(peers) => peers.contains(peer),
            Accept::Anybody => true,
        }
    }
}
