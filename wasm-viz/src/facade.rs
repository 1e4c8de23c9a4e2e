//! The WebAssembly face of [`Api`].

use std::cell::RefCell;

use wasm_bindgen::prelude::wasm_bindgen;

use crate::api::Api;

thread_local! {
    /// The page's core in the browser: there is one.
    static API: RefCell<Api> = RefCell::default();
}

/// See [`Api::of_page`].
#[wasm_bindgen]
pub fn call(method: &str, argument: &str) -> String {
    API.with_borrow_mut(|api| api.of_page(method, argument))
}

/// See [`Api::call`]; from the first trace on. What only this, [`open_trace`] and [`octets`] need is a module of its
/// own, which is instantiated before the first of them is called.
#[wasm_bindgen]
pub fn any(method: &str, argument: &str) -> String {
    API.with_borrow_mut(|api| api.call(method, argument))
}

/// See [`Api::import`].
#[wasm_bindgen]
pub fn open_trace(name: &str, file: &[u8]) -> String {
    API.with_borrow_mut(|api| api.import(name, file))
}

/// See [`Api::octets`]; empty where there is no such file.
#[wasm_bindgen]
#[must_use]
pub fn octets(kind: &str) -> Vec<u8> {
    API.with_borrow(|api| api.octets(kind)).unwrap_or_default()
}
