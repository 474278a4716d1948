//! Chooses what the binary carries as its console: the pages built from `console/`, or, when nobody has built them, one
//! page that says how to. The folder's path reaches `src/web/console/mod.rs` as `WARMLINE_CONSOLE`.

use std::env;
use std::path::PathBuf;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let built = root.join("console/dist/site");
    let chosen = if built.join("index.html").is_file() { built } else { root.join("src/web/console/unbuilt") };
    println!("cargo::rustc-env=WARMLINE_CONSOLE={}", chosen.display());
    // `console/dist` is always there, so that this waits for a build without running each time.
    println!("cargo::rerun-if-changed=console/dist");
    println!("cargo::rerun-if-changed=src/web/console/unbuilt");
}
