//! Reasons to stop that come from outside: signals, and the death of the process that started this one.
//!
//! An orphan would keep gigabytes and a port. So a pipe as standard input is a line to the parent: nobody writes to it, and
//! the kernel closes it however the parent ends. With `--parent-pid` Linux also sends `SIGHUP` when the parent's thread
//! ends. That alone can be wrong (a runtime may retire the thread that started us), so it counts only if the parent
//! really is another process now.

use std::io::Read;
use std::os::unix::fs::FileTypeExt;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::debug;

/// Why the worker stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    Terminated,
    Interrupted,
    ParentGone,
}

/// See the module.
pub struct Lifeline {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    parent_pid: Option<i32>,
    /// Never answers if standard input is no line to anybody.
    input_closed: oneshot::Receiver<()>,
    /// Keeps `input_closed` silent in that case.
    _silent: Option<oneshot::Sender<()>>,
}

impl Lifeline {
    /// Starts watching. `parent_pid`: the process whose end is ours too.
    pub fn watch(parent_pid: Option<i32>) -> std::io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        #[cfg(target_os = "linux")]
        if parent_pid.is_some() {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::HUP))?;
        }
        let (sender, input_closed) = oneshot::channel();
        let mut silent = Some(sender);
        if parent_pid.is_some() || input_is_a_pipe() {
            let sender = silent.take();
            // A thread, not tokio's stdin: its blocking read would keep the runtime from shutting down. It ends with us.
            std::thread::Builder::new().name("stdin".into()).spawn(move || {
                drain_input();
                let _ = sender.map(|sender| sender.send(()));
            })?;
        }
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup,
            parent_pid,
            input_closed,
            _silent: silent,
        })
    }

    /// Waits for a reason to stop.
    pub async fn cut(&mut self) -> StopReason {
        loop {
            // Also before the first wait: the parent may have died before the kernel was asked to tell.
            if self.parent_is_gone() {
                return StopReason::ParentGone;
            }
            tokio::select! {
                _ = self.terminate.recv() => return StopReason::Terminated,
                _ = self.interrupt.recv() => return StopReason::Interrupted,
                _ = &mut self.input_closed => return StopReason::ParentGone,
                _ = self.hangup.recv() => {
                    if self.parent_pid.is_none() {
                        return StopReason::Terminated;
                    }
                    debug!("The thread that started us ended, perhaps not its process");
                }
            }
        }
    }

    fn parent_is_gone(&self) -> bool {
        let parent = rustix::process::getppid().map(rustix::process::Pid::as_raw_pid);
        self.parent_pid.is_some_and(|pid| Some(pid) != parent)
    }
}

fn input_is_a_pipe() -> bool {
    std::fs::metadata("/dev/stdin").is_ok_and(|input| input.file_type().is_fifo())
}

fn drain_input() {
    let mut input = std::io::stdin().lock();
    let mut buffer = [0; 256];
    while input.read(&mut buffer).is_ok_and(|read| read > 0) {}
}
