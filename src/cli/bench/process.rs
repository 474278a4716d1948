//! Helper processes of a benchmark: this program again, on cores named by whoever measures, and what they took.

use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::cli::CliError;

/// This program on these cores (as `taskset` lists them) with so many worker threads.
pub(super) fn helper(cores: &str, threads: usize, arguments: &[&str]) -> Result<Child, CliError> {
    let failed = |error: std::io::Error| {
        CliError::failed(format!("a helper process can't be started: {error}"), "`taskset` is in Debian's util-linux.")
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program).arg("bench").args(arguments);
    command.env("TOKIO_WORKER_THREADS", threads.to_string()).env("WARMLINE_TELEMETRY__LOG", "warn");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().map_err(failed)
}

/// Memory of a process in kB; 0 where there is no `/proc`.
pub(super) fn resident_kb(process: &Child) -> u64 {
    let status = process.id().and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok());
    let line = status.as_deref().and_then(|text| text.lines().find(|line| line.starts_with("VmRSS:")));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

/// Time a process has spent on cores, in milliseconds; 0 where there is no `/proc`.
pub(super) fn cpu_ms(process: &Child) -> u64 {
    // Linux counts in hundredths of a second for programs, whatever it does inside.
    const TICK_MS: u64 = 10;
    let stat = process.id().and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    // The name in brackets may hold spaces; behind it the 12th and 13th fields are user and system time.
    let rest = stat.as_deref().and_then(|stat| stat.rsplit_once(')')).map_or("", |(_, rest)| rest);
    let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    ticks.sum::<u64>() * TICK_MS
}

/// Looks for the most that goes well: doubles until it is too much, then closes in to a sixteenth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    most: usize,
    good: Option<usize>,
    bad: Option<usize>,
}

impl Search {
    /// Nothing beyond `most` is tried.
    pub(super) const fn up_to(most: usize) -> Self {
        Self { most, good: None, bad: None }
    }

    /// So many were tried. Gives what to try next; nothing when it is found.
    pub(super) fn tried(&mut self, count: usize, went_well: bool) -> Option<usize> {
        if went_well {
            self.good = self.good.max(Some(count));
        } else {
            self.bad = Some(self.bad.map_or(count, |bad| bad.min(count)));
        }
        match (self.good, self.bad) {
            (Some(low), None) if low < self.most => Some((low * 2).min(self.most)),
            (None, Some(high)) if high > 1 => Some(high / 2),
            (Some(low), Some(high)) if high > low + low / 16 + 1 => Some(low.midpoint(high)),
            _ => None,
        }
    }

    /// The most that went well.
    pub(super) const fn found(&self) -> Option<usize> {
        self.good
    }

    /// The fewest that did not.
    pub(super) const fn too_many(&self) -> Option<usize> {
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_most_is_found_to_a_sixteenth(limit in 0usize..20_000, from in 1usize..4_000, most in 4_000usize..8_192) {
            let mut search = Search::up_to(most);
            let (mut next, mut tries) = (Some(from), 0);
            while let Some(count) = next {
                prop_assert!(count >= 1 && count <= most);
                tries += 1;
                prop_assert!(tries < 40, "it ends");
                next = search.tried(count, count <= limit);
            }
            let reachable = limit.min(most);
            match search.found() {
                None => prop_assert_eq!(reachable, 0),
                Some(found) => {
                    prop_assert!(found <= reachable);
                    prop_assert!(reachable <= found + found / 16 + 1, "{} of {}", found, reachable);
                }
            }
        }
    }
}
