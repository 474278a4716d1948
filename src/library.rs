//! RUNTIME: the knowledge base as calls see it, kept up to date.
//!
//! ```text
//!  folder, pages ─ changed ─▶ read ─ all good ─▶ indexed ─▶ found by meaning ─▶ in force, under a new version
//!                               │ something is wrong
//!                               └─▶ the old one stays, and why is said
//! ```
//! A call takes the one in force when it begins to think about an answer, and keeps it until the answer is made.

mod fetch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use utoipa::ToSchema;

use crate::config::Config;
use crate::dialog::knowledge::{Entry, Filter, Knowledge, KnowledgeError};
use crate::engine::embed::SentenceEmbedder;
use fetch::Pages;

/// What is in force, and what is wrong with what is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LibraryState {
    /// Names the content: the same entries have the same version everywhere.
    pub version: String,
    /// How many entries there are.
    pub entries: usize,
    /// Since when it is in force.
    #[schema(value_type = String, format = "date-time")]
    pub since: Timestamp,
    /// Why newer content was not taken up.
    pub problem: Option<String>,
}

/// The knowledge base in force. Cheap to clone; all clones see the same.
#[derive(Clone)]
pub struct Library {
    current: Arc<RwLock<Arc<Knowledge>>>,
    state: watch::Sender<LibraryState>,
    /// What calls may be answered from.
    filter: Arc<Filter>,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Library({:?})", self.current())
    }
}

impl Library {
    /// One that never changes, for everybody.
    pub fn fixed(knowledge: Knowledge) -> Self {
        Self::new(knowledge, Filter::default())
    }

    /// One that begins with `knowledge`; calls are answered from what `filter` lets through.
    pub fn new(knowledge: Knowledge, filter: Filter) -> Self {
        let (state, _) = watch::channel(state_of(&knowledge));
        Self { current: Arc::new(RwLock::new(Arc::new(knowledge))), state, filter: Arc::new(filter) }
    }

    /// The one in force now.
    pub fn current(&self) -> Arc<Knowledge> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What calls may be answered from.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// What is in force, and what is wrong.
    pub fn state(&self) -> LibraryState {
        self.state.borrow().clone()
    }

    fn replace(&self, knowledge: Arc<Knowledge>) {
        let state = state_of(&knowledge);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = knowledge;
        self.state.send_replace(state);
    }

    /// Newer content can't be used.
    fn refuse(&self, problem: String) {
        self.state.send_if_modified(|state| {
            let is_new = state.problem.as_ref() != Some(&problem);
            if is_new {
                warn!(problem, "New knowledge is not taken up; the old stays in force");
                state.problem = Some(problem);
            }
            is_new
        });
    }

    /// There is nothing newer, or it is the same.
    fn settle(&self) {
        self.state.send_if_modified(|state| state.problem.take().is_some());
    }
}

fn state_of(knowledge: &Knowledge) -> LibraryState {
    LibraryState {
        version: knowledge.version().to_owned(),
        entries: knowledge.entries().len(),
        since: Timestamp::now(),
        problem: None,
    }
}

/// Where entries come from.
#[derive(Clone)]
pub struct Sources {
    folder: PathBuf,
    /// Those the tools stand for.
    tools: Vec<Entry>,
    pages: Arc<Pages>,
    every: Duration,
    fetch_every: Duration,
}

impl Sources {
    /// From the configuration.
    pub fn new(config: &Config, tools: Vec<Entry>) -> Result<Self, KnowledgeError> {
        Ok(Self {
            folder: config.dialog.knowledge_dir.clone(),
            tools,
            pages: Arc::new(Pages::new(&config.knowledge, &config.server.data_dir)?),
            every: Duration::from_secs(config.knowledge.reload_s.into()),
            fetch_every: Duration::from_secs(config.knowledge.fetch_s.into()),
        })
    }

    /// Reads everything, pages as they were fetched last.
    fn read(&self) -> Result<Knowledge, KnowledgeError> {
        let mut more = self.pages.entries()?;
        more.extend(self.tools.iter().cloned());
        Knowledge::load_with(&self.folder, more)
    }

    /// The first reading. A page that can't be had now is as it was had last, or missing: the rest must not wait for it.
    pub async fn open(&self, config: &Config) -> Result<Library, KnowledgeError> {
        if let (_, Some(problem)) = self.pages.refresh().await {
            warn!(problem, "A page of the knowledge base could not be fetched");
        }
        let sources = self.clone();
        let read = tokio::task::spawn_blocking(move || sources.read()).await;
        let knowledge = read.map_err(|error| KnowledgeError::Index { reason: error.to_string() })??;
        Ok(Library::new(knowledge, Filter::of(&config.knowledge)))
    }

    fn is_fixed(&self) -> bool {
        self.pages.is_empty() && (self.folder.as_os_str().is_empty() || self.every.is_zero())
    }
}

/// What is done with content that has just come into force.
pub type TakenUp = Box<dyn Fn(&Knowledge) + Send + Sync>;

/// Looks after `library` until `cancel`. `embedder`: finds by meaning what is new, once there is one.
pub async fn keep(
    library: Library,
    sources: Sources,
    embedder: watch::Receiver<Option<Arc<dyn SentenceEmbedder>>>,
    taken_up: TakenUp,
    cancel: CancellationToken,
) {
    if sources.is_fixed() {
        return;
    }
    let work = async {
        let mut fingerprint = fingerprint(&sources.folder);
        let (mut fetched, mut failed) = (Instant::now(), false);
        let pause = if sources.every.is_zero() { sources.fetch_every } else { sources.every };
        // Once more in any case: something may have changed between the first reading and now.
        let mut changed = true;
        loop {
            sleep(pause).await;
            let mut problem = None;
            if !sources.pages.is_empty() && fetched.elapsed() >= sources.fetch_every {
                fetched = Instant::now();
                let any;
                (any, problem) = sources.pages.refresh().await;
                // Once all can be had again, that is to be seen too.
                changed |= any || (failed && problem.is_none());
                failed = problem.is_some();
            }
            let seen = self::fingerprint(&sources.folder);
            if !sources.every.is_zero() && seen != fingerprint {
                (fingerprint, changed) = (seen, true);
            }
            if changed {
                // Not held while it works.
                let embedder = embedder.borrow().clone();
                take_up(&library, &sources, embedder, &taken_up).await;
                changed = false;
            }
            // After what could be taken up, which may have put all else right.
            if let Some(problem) = problem {
                library.refuse(problem);
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = cancel.cancelled() => {}
    }
}

/// Reads everything anew and puts it into force, if it is good.
async fn take_up(
    library: &Library,
    sources: &Sources,
    embedder: Option<Arc<dyn SentenceEmbedder>>,
    taken_up: &TakenUp,
) {
    let (old, sources) = (library.current(), sources.clone());
    let work = move || -> Result<Option<Knowledge>, String> {
        let knowledge = sources.read().map_err(|error| error.to_string())?;
        if knowledge.version() == old.version() {
            return Ok(None);
        }
        if let Some(embedder) = embedder {
            knowledge.attach(embedder).map_err(|error| error.to_string())?;
        }
        Ok(Some(knowledge))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(None)) => library.settle(),
        Ok(Ok(Some(knowledge))) => {
            let knowledge = Arc::new(knowledge);
            library.replace(knowledge.clone());
            info!(version = knowledge.version(), entries = knowledge.entries().len(), "New knowledge is in force");
            taken_up(&knowledge);
        }
        Ok(Err(problem)) => library.refuse(problem),
        Err(error) => library.refuse(error.to_string()),
    }
}

/// Names, lengths and times of a folder's files: what differs when one was changed.
fn fingerprint(folder: &Path) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut seen: Vec<_> = files
        .filter_map(Result::ok)
        .filter_map(|file| {
            let meta = file.metadata().ok()?;
            Some((file.path(), meta.len(), meta.modified().ok()))
        })
        .collect();
    seen.sort();
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one step: whoever looks meanwhile finds the file as it was or as it is now.
    fn write(folder: &Path, name: &str, text: &str) {
        let beside = folder.with_extension(name);
        std::fs::write(&beside, text).expect("written");
        std::fs::rename(beside, folder.join(name)).expect("put in its place");
    }

    const HOURS: &str = "+++\ntitle = \"Hours\"\napproved = \"We open at nine.\"\nalso_asked = [\"when do you open\"]\n+++\nWe open at nine.\n";

    async fn until(library: &Library, what: impl Fn(&LibraryState) -> bool) -> LibraryState {
        let mut state = library.state.subscribe();
        let seen = tokio::time::timeout(Duration::from_secs(60), state.wait_for(|state| what(state))).await;
        seen.expect("in time").expect("the library lives").clone()
    }

    #[tokio::test]
    async fn a_changed_folder_is_taken_up_and_what_is_wrong_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "hours.md", HOURS);
        let mut config = Config::default();
        config.dialog.knowledge_dir = folder.path().to_owned();
        let mut sources = Sources::new(&config, Vec::new()).expect("sources");
        sources.every = Duration::from_millis(20);
        let library = sources.open(&config).await.expect("a library");
        let first = library.state();
        let (_sender, embedder) = watch::channel(None);
        let (told, mut heard) = watch::channel(0);
        let cancel = CancellationToken::new();
        let taken_up: TakenUp = Box::new(move |knowledge| {
            let _ = told.send(knowledge.entries().len());
        });
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(keep(library.clone(), sources, embedder, taken_up, cancel.clone()));

        write(folder.path(), "faq.html", "<h2>Do you sell trees?</h2><p>Yes, forty kinds of trees.</p>");
        let second = until(&library, |state| state.entries == 2).await;
        assert_ne!(second.version, first.version);
        heard.wait_for(|entries| *entries == 2).await.expect("told");
        let hits = library.current().search("do you sell trees", 1);
        assert_eq!(hits[0].approved.as_deref(), Some("Yes, forty kinds of trees."));

        write(folder.path(), "hours.md", "+++\ntitle = 7\n+++\n");
        let refused = until(&library, |state| state.problem.is_some()).await;
        assert_eq!((refused.version.as_str(), refused.entries), (second.version.as_str(), 2));
        assert!(refused.problem.as_ref().is_some_and(|problem| problem.contains("hours.md")), "{refused:?}");
        assert!(!library.current().search("when do you open", 1).is_empty(), "the old one answers");

        write(folder.path(), "hours.md", HOURS);
        let again = until(&library, |state| state.problem.is_none()).await;
        assert_eq!(again.version, second.version, "the same content has the same version");
        cancel.cancel();
        tasks.join_all().await;
    }
}
