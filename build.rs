//! Chooses what the binary carries as its console: the pages built from `console/` (`cfg(console_built)`), or, when nobody
//! has built them, one page that says how to. No path is kept: clones at several places may share a build folder.

use std::path::Path;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(console_built)");
    if Path::new("console/dist/site/index.html").is_file() {
        println!("cargo::rustc-cfg=console_built");
    }
    // `console/dist` is always there, so that this waits for a build without running each time.
    println!("cargo::rerun-if-changed=console/dist");
    println!("cargo::rerun-if-changed=src/web/console/unbuilt");
}
