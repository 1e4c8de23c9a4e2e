//! `cargo xtask viz`: the page. Builds the core as WebAssembly, binds it with the library of the very version
//! that the core uses, and has Vite put the page together.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::root;

mod pack;
mod silence;
mod split;

/// The page that steps through the draft's diagrams: builds it and serves it on loopback.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// The port to serve on.
    #[arg(long, default_value_t = 4655)]
    port: u16,
}

#[derive(Subcommand)]
enum Action {
    /// Writes `wasm-viz/web/dist/`: `served/` for any static server, and `pinhole-offline.html`, which opens
    /// by a double click.
    Build,
    /// Builds the page and runs its tests in Chromium.
    Test,
    /// Builds the page and takes a picture of every scenario at its key frame, in both languages, light and dark,
    /// in three sizes: `web/dist/shots/index.html`. Fails where one is badly laid out.
    Shots {
        /// The names of the scenarios; every one without it.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.action {
        None => {
            build()?;
            serve(&web().join("dist/served"), arguments.port)?;
        }
        Some(Action::Build) => build()?,
        Some(Action::Test) => {
            build()?;
            native()?;
            step("playwright", node("playwright").arg("test"))?;
        }
        Some(Action::Shots { only }) => {
            build()?;
            let mut shots = node("playwright");
            shots.args(["test", "shots.spec"]).env("SHOTS", "1");
            if !only.is_empty() {
                shots.env("ONLY", only.join(","));
            }
            step("playwright", &mut shots)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The page's folder.
fn web() -> PathBuf {
    root().join("wasm-viz/web")
}

fn build() -> anyhow::Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let cargo = ["build", "--quiet", "-p", "pinhole-viz", "--profile", "page", "--target", TARGET];
    step("cargo build", Command::new(env!("CARGO")).current_dir(root()).args(cargo))?;
    wasm_bindgen_cli_support::Bindgen::new()
        .input_path(target.join(TARGET).join("page/pinhole_viz.wasm"))
        .web(true)?
        .omit_default_module_path(true)
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(web().join("pkg"))
        .context("wasm-bindgen")?;
    let pkg = web().join("pkg");
    let bound = fs::read(pkg.join("pinhole_viz_bg.wasm"))?;
    let parts = split::split(&pack::folded(&silence::silenced(&bound)?)?, &LATER)?;
    for (name, part) in [("core", &parts.first), ("files", &parts.second)] {
        fs::write(pkg.join(format!("{name}.wasm.pack")), gzip(&pack::pack(part)?)?)?;
    }
    if !web().join("node_modules").exists() {
        step("npm ci", npm().args(["ci", "--no-audit", "--no-fund", "--silent"]))?;
    }
    step("tsc", node("tsc").arg("--noEmit"))?;
    step("vite", node("vite").args(["build", "--logLevel", "warn"]))?;
    step("vite, one file", node("vite").args(["build", "--logLevel", "warn", "--mode", "offline"]))?;
    one_file()?;
    sizes()
}

/// Packs a module as gzip does, only harder: servers need not pack it on the way, and few do.
fn gzip(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut packed = Vec::new();
    zopfli::compress(zopfli::Options::default(), zopfli::Format::Gzip, module, &mut packed)?;
    Ok(packed)
}

/// Writes down what the runs are natively, for the browser to compare.
fn native() -> anyhow::Result<()> {
    let cargo = ["run", "--quiet", "-p", "pinhole-viz", "--example", "digests"];
    let output = Command::new(env!("CARGO")).current_dir(root()).args(cargo).output().context("digests")?;
    if !output.status.success() {
        bail!("digests: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs::write(web().join("e2e/native.json"), output.stdout)?;
    Ok(())
}

/// Puts script and style of the one-file page into its HTML.
fn one_file() -> anyhow::Result<()> {
    let dist = web().join("dist");
    let read = |path: PathBuf| fs::read_to_string(&path).with_context(|| path.display().to_string());
    let script = read(dist.join("offline/page.js"))?.replace("</script", "<\\/script");
    let style = read(dist.join("offline/page.css"))?;
    let html = read(web().join("index.html"))?;
    let tag = r#"<script type="module" src="/src/main.ts"></script>"#;
    let Some((before, after)) = html.split_once(tag) else {
        bail!("index.html has no script");
    };
    let Some((head, body)) = before.split_once("</head>") else {
        bail!("index.html has no head");
    };
    let page = format!("{head}<style>{style}</style></head>{body}<script>{script}</script>{after}");
    fs::write(dist.join("pinhole-offline.html"), page)?;
    fs::remove_dir_all(dist.join("offline"))?;
    Ok(())
}

/// Prints what the page weighs, and refuses one that weighs too much.
fn sizes() -> anyhow::Result<()> {
    let (mut core, mut files, mut page) = (0, 0, 0);
    for entry in fs::read_dir(web().join("dist/served/assets"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pack") if name.starts_with("core") => core += fs::read(&path)?.len(),
            Some("pack") => files += fs::read(&path)?.len(),
            Some("js" | "css") => page += packed(&path)?,
            _ => bail!("{name} is not known"),
        }
    }
    println!("core {core} octets, files {files}, script and style {page}, each packed with gzip");
    if core > MAX_CORE || files > MAX_FILES || page > MAX_PAGE {
        bail!("the bounds are {MAX_CORE}, {MAX_FILES} and {MAX_PAGE}");
    }
    Ok(())
}

fn packed(path: &Path) -> anyhow::Result<usize> {
    let output = Command::new("gzip").arg("-9c").arg(path).output().context("gzip")?;
    Ok(output.stdout.len())
}

/// Serves a folder on loopback until it is interrupted.
fn serve(folder: &Path, port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("http://{}/ (Ctrl-C ends it)", listener.local_addr()?);
    for stream in listener.incoming() {
        // Who went away does not end the server.
        let _ = stream.and_then(|stream| answer(folder, stream));
    }
    Ok(())
}

fn answer(folder: &Path, mut stream: TcpStream) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let path = line.split_whitespace().nth(1).unwrap_or("/").split(['?', '#']).next().unwrap_or("/");
    let name = if path == "/" { "index.html" } else { path.trim_start_matches('/') };
    // Nothing outside the folder.
    let inside = !name.split('/').any(|part| part == "..");
    let found = if inside { fs::read(folder.join(name)).ok() } else { None };
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    };
    let (status, body) = found.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}

fn npm() -> Command {
    let mut command = Command::new("npm");
    command.current_dir(web());
    command
}

/// A program of the page's own packages.
fn node(name: &str) -> Command {
    let mut command = Command::new(web().join("node_modules/.bin").join(name));
    command.current_dir(web());
    command
}

fn step(name: &str, command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{name} cannot be run"))?;
    if !status.success() {
        bail!("{name} failed: {status}");
    }
    Ok(())
}

const TARGET: &str = "wasm32-unknown-unknown";
/// The most octets of the core, packed. The aim is 150 KiB; the engines are a third of what it weighs, the
/// simulator another sixth.
const MAX_CORE: usize = 300 * 1024;
/// The most octets of what is loaded with the first file, packed.
const MAX_FILES: usize = 44 * 1024;
/// The calls of the core that read and write files. What only they need is loaded when the first is made.
const LATER: [&str; 3] = ["open_trace", "octets", "any"];
/// The most octets of script and style, packed.
const MAX_PAGE: usize = 40 * 1024;
