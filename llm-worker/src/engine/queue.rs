//! The bounded queue in front of the engine: foreground first, then first come, first served.
//!
//! When full, a request is refused at once (HTTP 503), because a late answer is worth nothing on the phone. Background
//! requests may fill half of it, so they never keep a caller out. Requests whose client has gone make room immediately.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

use super::job::Job;

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    #[error("{0} requests are already waiting")]
    Full(usize),
    #[error("the worker is shutting down")]
    Closed,
}

/// See the module.
pub struct JobQueue {
    jobs: Mutex<VecDeque<Job>>,
    changed: Condvar,
    capacity: usize,
    /// Waiting foreground jobs: read by the engine between the operations of an evaluation, so without the lock.
    foreground: AtomicUsize,
    closed: AtomicBool,
}

impl JobQueue {
    /// Holds up to `capacity` waiting jobs, at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            jobs: Mutex::new(VecDeque::new()),
            changed: Condvar::new(),
            capacity: capacity.max(1),
            foreground: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Jobs waiting.
    pub fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// Adds a job. On an error it is dropped.
    pub fn push(&self, job: Job) -> Result<(), PushError> {
        let mut jobs = self.lock();
        if self.closed() {
            return Err(PushError::Closed);
        }
        jobs.retain(|waiting| !waiting.cancel.raised());
        let room = if job.background { self.capacity.div_ceil(2) } else { self.capacity };
        if jobs.len() >= room {
            self.count(&jobs);
            return Err(PushError::Full(jobs.len()));
        }
        jobs.push_back(job);
        self.count(&jobs);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for the next job; `None` once the queue is closed.
    pub fn pop(&self) -> Option<Job> {
        let mut jobs = self.lock();
        loop {
            if self.closed() {
                return None;
            }
            if let Some(job) = self.take(&mut jobs, false) {
                return Some(job);
            }
            jobs = self.changed.wait(jobs).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// The next foreground job, if one waits.
    pub fn pop_foreground(&self) -> Option<Job> {
        self.take(&mut self.lock(), true)
    }

    /// Does a foreground job wait? Cheap enough to ask thousands of times a second.
    pub fn foreground_waiting(&self) -> bool {
        self.foreground.load(Ordering::Relaxed) > 0
    }

    /// Drops waiting jobs whose client has gone.
    pub fn prune(&self) {
        let mut jobs = self.lock();
        jobs.retain(|job| !job.cancel.raised());
        self.count(&jobs);
    }

    /// Takes no more jobs, wakes the engine and returns the jobs that will not be served.
    pub fn close(&self) -> Vec<Job> {
        let mut jobs = self.lock();
        self.closed.store(true, Ordering::Relaxed);
        let left = jobs.drain(..).collect();
        self.count(&jobs);
        self.changed.notify_all();
        left
    }

    pub fn closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn take(&self, jobs: &mut VecDeque<Job>, foreground_only: bool) -> Option<Job> {
        jobs.retain(|job| !job.cancel.raised());
        let first = jobs.iter().position(|job| !job.background);
        let index = if foreground_only { first } else { first.or_else(|| (!jobs.is_empty()).then_some(0)) };
        let job = index.and_then(|index| jobs.remove(index));
        self.count(jobs);
        job
    }

    fn count(&self, jobs: &VecDeque<Job>) {
        self.foreground.store(jobs.iter().filter(|job| !job.background).count(), Ordering::Relaxed);
    }

    /// A panic elsewhere leaves the list itself whole, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::job;

    fn names(queue: &JobQueue) -> Vec<i32> {
        let mut names = Vec::new();
        while queue.waiting() > 0 {
            names.extend(queue.pop().map(|job| job.prompt[0]));
        }
        names
    }

    #[test]
    fn foreground_goes_first_then_order_of_arrival() {
        let queue = JobQueue::new(8);
        for (name, background) in [(1, true), (2, false), (3, true), (4, false)] {
            queue.push(job(&[name], background).0).expect("room");
        }
        assert!(queue.foreground_waiting());
        assert_eq!(names(&queue), [2, 4, 1, 3]);
        assert!(!queue.foreground_waiting());
    }

    #[test]
    fn a_full_queue_refuses_and_background_leaves_half() {
        let queue = JobQueue::new(4);
        queue.push(job(&[1], true).0).expect("room");
        queue.push(job(&[2], true).0).expect("room");
        assert_eq!(queue.push(job(&[3], true).0), Err(PushError::Full(2)));
        queue.push(job(&[4], false).0).expect("room");
        queue.push(job(&[5], false).0).expect("room");
        assert_eq!(queue.push(job(&[6], false).0), Err(PushError::Full(4)));
        assert_eq!(names(&queue), [4, 5, 1, 2]);
    }

    #[test]
    fn a_client_that_left_makes_room() {
        let queue = JobQueue::new(1);
        let (gone, _events) = job(&[1], false);
        let cancel = gone.cancel.clone();
        queue.push(gone).expect("room");
        assert!(queue.push(job(&[2], false).0).is_err());
        cancel.raise();
        queue.push(job(&[2], false).0).expect("the gone one made room");
        assert_eq!(names(&queue), [2]);
        let (gone, _events) = job(&[3], false);
        gone.cancel.raise();
        queue.push(gone).expect("room");
        queue.prune();
        assert!(!queue.foreground_waiting());
        assert!(queue.pop_foreground().is_none());
    }

    #[test]
    fn closing_returns_what_waited_and_wakes_the_engine() {
        let queue = std::sync::Arc::new(JobQueue::new(4));
        queue.push(job(&[1], false).0).expect("room");
        assert_eq!(queue.close().len(), 1);
        assert!(queue.pop().is_none());
        assert_eq!(queue.push(job(&[2], false).0), Err(PushError::Closed));
    }
}
