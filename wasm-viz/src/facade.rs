//! The WebAssembly face of [`Api`](crate::api::Api).

use wasm_bindgen::prelude::wasm_bindgen;

use crate::api::Api;

/// The page's core in the browser.
#[wasm_bindgen]
#[derive(Default)]
pub struct Viz {
    api: Api,
}

#[wasm_bindgen]
impl Viz {
    /// Opens the first scenario.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`Api::call`].
    pub fn call(&mut self, method: &str, argument: &str) -> String {
        self.api.call(method, argument)
    }

    /// See [`Api::import`].
    pub fn import(&mut self, name: &str, file: &[u8]) -> String {
        self.api.import(name, file)
    }

    /// See [`Api::octets`]; empty where there is no such file.
    #[must_use]
    pub fn octets(&self, kind: &str) -> Vec<u8> {
        self.api.octets(kind).unwrap_or_default()
    }
}
