//! The page's calls: a method's name and JSON in, JSON out. The same natively and in the browser.

use std::collections::BTreeMap;

use pinhole_sim::scenario;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::nats;
use crate::page::{Page, Refused};
use crate::run::Edit;
use crate::text::Text;
use crate::{export, matrix};

/// The page behind its calls.
pub struct Api {
    page: Page,
}

/// A scenario in the list.
#[derive(Serialize)]
struct Entry {
    id: &'static str,
    title: Text,
    source: String,
}

impl Default for Api {
    fn default() -> Self {
        Self { page: Page::open("") }
    }
}

impl Api {
    /// Answers a call with `{"ok": …}` or `{"refused": text}`.
    pub fn call(&mut self, method: &str, argument: &str) -> String {
        let answer = match self.answer(method, argument) {
            Ok(value) => json!({ "ok": value }),
            Err(Refused(text)) => json!({ "refused": text }),
        };
        answer.to_string()
    }

    /// A file: the packets of the branch that is shown.
    ///
    /// # Errors
    /// No such kind, or the writer's.
    pub fn octets(&self, kind: &str) -> Result<Vec<u8>, Refused> {
        match kind {
            "pcapng" => self.page.capture(),
            _ => Err(Refused(Text::of("notice.no-method").with("name", kind))),
        }
    }

    fn answer(&mut self, method: &str, argument: &str) -> Result<Value, Refused> {
        let page = &mut self.page;
        match method {
            "catalogue" => value(&catalogue()),
            "open" => {
                *page = Page::open(&read::<String>(argument)?);
                value(&page.view())
            }
            "page" => value(&page.view()),
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
            "fragment" => value(&page.fragment(read::<BTreeMap<String, String>>(argument)?)),
            "text" => {
                let ladder = page.ladder(page.branch_shown(), read(argument)?);
                value(&ladder.map(|ladder| export::text(&ladder)))
            }
            "digest" => value(&format!("{:016x}", page.current().run().digest())),
            _ => Err(Refused(Text::of("notice.no-method").with("name", method))),
        }
    }
}

fn catalogue() -> Value {
    let entry = |(id, text): &(&'static str, &'static str)| {
        let source = scenario::Scenario::from_json(text).map(|scenario| scenario.source).unwrap_or_default();
        Entry { id, title: Text::of(format!("title.{id}")), source }
    };
    let scenarios: Vec<_> = scenario::ALL.iter().map(entry).collect();
    json!({ "scenarios": scenarios, "presets": nats::presets() })
}

fn read<T: DeserializeOwned>(argument: &str) -> Result<T, Refused> {
    serde_json::from_str(argument).map_err(|error| Refused(Text::of("notice.argument").with("why", error)))
}

fn value<T: Serialize>(value: &T) -> Result<Value, Refused> {
    serde_json::to_value(value).map_err(|error| Refused(Text::of("notice.argument").with("why", error)))
}
