//! Speech and language engines behind narrow traits, each with a scripted fake, all under one CPU budget.

pub mod cpu;
pub mod embed;
pub mod llm;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod stt;
pub mod tts;
pub mod vad;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once to tell work on another thread to stop; cheap to clone and to ask.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<Cancelled>);

#[derive(Debug, Default)]
struct Cancelled {
    set: AtomicBool,
    parent: Option<CancelFlag>,
}

impl CancelFlag {
    /// A flag nobody has set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag that is also set by setting this one, but not the other way round.
    pub fn child(&self) -> Self {
        Self(Arc::new(Cancelled { set: AtomicBool::new(false), parent: Some(self.clone()) }))
    }

    /// Asks the work to stop. It can't be taken back.
    pub fn cancel(&self) {
        self.0.set.store(true, Ordering::Release);
    }

    /// True once somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.set.load(Ordering::Acquire) || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    /// Makes `text` a program at `path`. Another process writes the file: a process that some other thread begins just now
    /// would have it open, too, if we had, and what is open to be written can't be run.
    pub(crate) fn write_program(path: &Path, text: &str) {
        let mut writer = Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(path)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        writer.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("read");
        assert!(writer.wait().expect("it ends").success(), "{} was not written", path.display());
    }

    #[test]
    fn a_child_is_cancelled_with_its_parent_and_alone() {
        let parent = CancelFlag::new();
        let (one, other) = (parent.child(), parent.child().child());
        one.cancel();
        assert_eq!((one.is_cancelled(), other.is_cancelled(), parent.is_cancelled()), (true, false, false));
        parent.clone().cancel();
        assert!(other.is_cancelled());
    }
}
