//! `[routing]` of the configuration file, taken up anew when the file changes, while callers wait.
//!
//! ```text
//!  file ─ changed ─▶ parsed, with the environment ─ all good ─▶ its `[routing]` is in force
//!                       └─ mistakes: the old one stays, and each mistake is in the log
//! ```
//! The other sections hold from the next start on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{Config, ConfigError};
use crate::handoff::actor::DeskHandle;
use crate::live_plan::LivePlan;

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// What a look at the file came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Nothing is new, or nothing that concerns us.
    Same,
    /// There is another `[routing]`.
    TakenUp,
    /// There is, with mistakes somewhere.
    Refused,
}

/// Until `stop`.
pub(super) async fn watch(file: PathBuf, live_plan: LivePlan, desk: DeskHandle, stop: CancellationToken) {
    let mut seen = read(&file).await;
    let mut ticks = tokio::time::interval(EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        look(&file, &mut seen, &live_plan, &desk).await;
    }
}

async fn look(file: &Path, seen: &mut Option<String>, live_plan: &LivePlan, desk: &DeskHandle) -> Look {
    let text = read(file).await;
    // Between two writes of an editor there may be no file: it is looked at again.
    if text.is_none() || text == *seen {
        return Look::Same;
    }
    *seen = text;
    match load(file).await {
        Ok(config) => {
            let is_new = live_plan.take_up(config.routing, desk).await;
            if is_new {
                info!("`[routing]` has changed in the configuration file and is in force");
            }
            if is_new { Look::TakenUp } else { Look::Same }
        }
        Err(error) => {
            warn!("The configuration file has changed and can't be used, the old one holds: {error}");
            Look::Refused
        }
    }
}

async fn read(file: &Path) -> Option<String> {
    tokio::fs::read_to_string(file).await.ok()
}

async fn load(file: &Path) -> Result<Config, ConfigError> {
    let path = file.to_owned();
    // Secrets may stand in files of their own.
    spawn_blocking(move || Config::load(Some(&path))).await.expect("reading a configuration does not panic")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::handoff::actor::{self as desk, DeskSettings};
    use crate::store::scribe;
    use crate::store::sqlite::SqliteStore;

    fn queue(name: &str) -> String {
        format!("[[routing.queues]]\nname = \"{name}\"\n")
    }

    #[tokio::test]
    async fn a_changed_file_is_taken_up_and_one_with_mistakes_is_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("warmline.toml");
        let write = |text: &str| std::fs::write(&file, text).expect("written");
        write(&queue("billing"));
        let config = Arc::new(Config::load(Some(&file)).expect("valid"));
        let store = Arc::new(SqliteStore::in_memory().await.expect("opens"));
        let (scribe, _writing) = scribe::open(store.clone());
        let stop = CancellationToken::new();
        let (desk, running) = desk::open(DeskSettings::default(), scribe, stop.clone());
        let live_plan = LivePlan::load(store, config).await.expect("readable");
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(running);
        let queues = || live_plan.plan().queues.iter().map(|queue| queue.name.clone()).collect::<Vec<_>>();
        let mut seen = read(&file).await;
        let mut looks = async || look(&file, &mut seen, &live_plan, &desk).await;
        assert_eq!(looks().await, Look::Same);
        write(&format!("{}{}", queue("billing"), queue("cards")));
        assert_eq!((looks().await, queues()), (Look::TakenUp, vec!["billing".to_owned(), "cards".to_owned()]));
        assert_eq!(looks().await, Look::Same, "once");
        write(&format!("[cpu]\n{}{}", queue("billing"), queue("cards")));
        assert_eq!(looks().await, Look::Same, "another section is not taken up");
        write("[routing]\nqueues = \"none\"\n");
        assert_eq!((looks().await, queues().len()), (Look::Refused, 2), "the old one holds");
        assert_eq!(looks().await, Look::Same, "and that is said once");
        std::fs::remove_file(&file).expect("removed");
        assert_eq!((looks().await, queues().len()), (Look::Same, 2));
        write(&queue("sales"));
        assert_eq!((looks().await, queues()), (Look::TakenUp, vec!["sales".to_owned()]));
        assert_eq!(desk.live().await.queues, ["sales"], "the desk has it");
        stop.cancel();
        tasks.join_all().await;
    }
}
