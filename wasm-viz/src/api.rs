//! The page's calls: a method's name and JSON in, JSON out. The same natively and in the browser.

use pinhole_proto::peer::StrategySet;
use pinhole_proto::sorted::SortedMap;
use pinhole_proto::wire::code::Strategy;

use pinhole_sim::scenario;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::nats;
use crate::page::{Page, Refused};
use crate::run::Edit;
use crate::text::Text;
use crate::trace::TracePage;
use crate::{export, json, lessons, matrix, scenarios};

/// The page behind its calls.
#[derive(Default)]
pub struct Api {
    /// Opened by the first call that names a scenario, or needs one.
    page: Option<Page>,
    /// What is shown instead of the page, while it is open.
    trace: Option<TracePage>,
}

/// What may be opened, and what NATs may be set to.
#[derive(Serialize)]
struct Catalogue {
    scenarios: Vec<Entry>,
    presets: Vec<nats::Preset>,
    /// What a peer may be left to try; `birthday` takes more than that it is allowed.
    strategies: Vec<&'static str>,
    lessons: Vec<lessons::Lesson>,
}

/// A scenario in the list.
#[derive(Serialize)]
struct Entry {
    id: &'static str,
    title: Text,
    source: &'static str,
}

impl Api {
    /// Answers a call with `{"ok": …}` or `{"refused": text}`.
    pub fn call(&mut self, method: &str, argument: &str) -> String {
        let trace = self.of_trace(method, argument);
        trace.map_or_else(|| self.of_page(method, argument), reply)
    }

    /// Answers a call as long as no trace was opened.
    pub fn of_page(&mut self, method: &str, argument: &str) -> String {
        reply(self.answer(method, argument))
    }

    /// Opens a trace, and answers as a call that shows a page does. A file that is refused changes nothing.
    pub fn import(&mut self, name: &str, file: &[u8]) -> String {
        reply(TracePage::open(name, file).and_then(|trace| {
            let view = value(&trace.view());
            self.trace = Some(trace);
            view
        }))
    }

    /// A file: the packets of the branch that is shown.
    ///
    /// # Errors
    /// No such kind, or the writer's.
    pub fn octets(&self, kind: &str) -> Result<Vec<u8>, Refused> {
        match kind {
            _ if self.trace.is_some() => Err(Refused(Text::of("notice.trace.fixed"))),
            "pcapng" => self.page.as_ref().map_or_else(|| first().capture(), Page::capture),
            _ => Err(Refused(Text::of("notice.no-method").with("name", kind))),
        }
    }

    /// What a trace answers; none where it is not asked.
    fn of_trace(&mut self, method: &str, argument: &str) -> Option<Result<String, Refused>> {
        let trace = self.trace.as_mut()?;
        Some(match method {
            "page" => value(&trace.view()),
            "seek" => read(argument).and_then(|index| value(&trace.seek(index))),
            "ladder" => value(&trace.ladder()),
            "rows" => read(argument).and_then(|(from, to)| value(&trace.rows(from, to))),
            "bytes" => read(argument).and_then(|journey| value(&trace.bytes(journey)?)),
            "text" => value(&export::text(&trace.whole_ladder())),
            "digest" => value(&trace.digest()),
            "question" => value(&()),
            "suggestions" | "remedies" | "arrivals" => value(&[(); 0]),
            "open" | "close" => {
                self.trace = None;
                return None;
            }
            "catalogue" | "cell" | "fragment" | "trace_limit" => return None,
            _ => Err(Refused(Text::of("notice.trace.fixed"))),
        })
    }

    fn answer(&mut self, method: &str, argument: &str) -> Result<String, Refused> {
        if method == "open" {
            let page = self.page.insert(Page::open(&read::<String>(argument)?));
            return value(&page.view());
        }
        let page = self.page.get_or_insert_with(first);
        match method {
            "catalogue" => value(&catalogue()),
            "trace_limit" => value(&pinhole_trace::MAX_OCTETS),
            "page" | "close" => value(&page.view()),
            "seek" => value(&page.seek(read(argument)?)),
            "ladder" => value(&page.ladder(page.branch_shown(), read(argument)?)),
            "bytes" => value(&page.bytes(read(argument)?)?),
            "edit" => {
                page.edit(read::<Vec<Edit>>(argument)?)?;
                value(&page.view())
            }
            "unedit" => {
                page.unedit(read(argument)?)?;
                value(&page.view())
            }
            "enter" => {
                page.enter(read(argument)?)?;
                value(&page.view())
            }
            "divergence" => value(&page.divergence(read(argument)?)),
            "beside" => {
                let (branch, index) = read(argument)?;
                value(&page.beside(branch, index))
            }
            "beside_ladder" => {
                let (branch, all) = read(argument)?;
                value(&page.ladder(branch, all))
            }
            "suggestions" => value(&page.suggestions(read(argument)?)),
            "remedies" => value(&page.remedies()),
            "arrivals" => value(&page.arrivals()),
            "question" => value(&page.question(read(argument)?)),
            "grade" => {
                let (index, choice) = read(argument)?;
                value(&page.grade(index, choice)?)
            }
            "preset" => {
                let (nat, preset): (String, String) = read(argument)?;
                page.preset(&nat, &preset)?;
                value(&page.view())
            }
            "cell" => {
                let (a, b): (String, String) = read(argument)?;
                value(&matrix::cell(&a, &b)?)
            }
            "fragment" => value(&page.fragment(read::<SortedMap<String, String>>(argument)?)),
            "text" => {
                let ladder = page.ladder(page.branch_shown(), read(argument)?);
                value(&ladder.map(|ladder| export::text(&ladder)))
            }
            "digest" => value(&format!("{:016x}", page.current().run().digest())),
            _ => Err(Refused(Text::of("notice.no-method").with("name", method))),
        }
    }
}

/// The page as it is where nothing is asked for.
fn first() -> Page {
    Page::open("")
}

fn catalogue() -> Catalogue {
    let entry = |id: &'static str| Entry { id, title: Text::of(format!("title.{id}")), source: scenarios::source(id) };
    Catalogue {
        scenarios: scenario::NAMES.into_iter().map(entry).collect(),
        presets: nats::presets(),
        strategies: StrategySet::ALL.without(Strategy::BIRTHDAY).iter().map(Strategy::name).collect(),
        lessons: lessons::lessons(),
    }
}

fn reply(answer: Result<String, Refused>) -> String {
    match answer {
        Ok(value) => format!(r#"{{"ok":{value}}}"#),
        Err(Refused(text)) => {
            let text = json::write(&text).expect("a text is strings alone");
            format!(r#"{{"refused":{text}}}"#)
        }
    }
}

fn read<T: DeserializeOwned>(argument: &str) -> Result<T, Refused> {
    json::read(argument).map_err(|error| Refused(Text::of("notice.argument").with("why", error)))
}

fn value<T: Serialize>(value: &T) -> Result<String, Refused> {
    json::write(value).map_err(|error| Refused(Text::of("notice.argument").with("why", error)))
}
