//! Readiness: named targets that start as not ready.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// The readiness of a process: ready when it has a target and all are ready.
#[derive(Clone, Debug, Default)]
pub struct Health {
    targets: Arc<Mutex<Vec<Target>>>,
}

/// One thing that must be ready; clones are the same target.
#[derive(Clone, Debug)]
pub struct Target {
    name: Cow<'static, str>,
    ready: Arc<AtomicBool>,
}

impl Health {
    /// A health without targets, hence not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a target that is not ready yet.
    pub fn target(&self, name: impl Into<Cow<'static, str>>) -> Target {
        let target = Target {
            name: name.into(),
            ready: Arc::default(),
        };
        self.targets.lock().push(target.clone());
        target
    }

    /// Whether there is a target and every target is ready.
    pub fn is_ready(&self) -> bool {
        let targets = self.targets.lock();
        !targets.is_empty() && targets.iter().all(Target::is_ready)
    }

    /// The names of the targets that are not ready, in order of registration.
    pub fn unready(&self) -> Vec<String> {
        let targets = self.targets.lock();
        targets
            .iter()
            .filter(|t| !t.is_ready())
            .map(|t| t.name.clone().into_owned())
            .collect()
    }
}

impl Target {
    /// Marks the target ready.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Marks the target not ready.
    pub fn not_ready(&self) {
        self.ready.store(false, Ordering::Release);
    }

    /// Whether the target is ready.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_a_target_and_all_of_them() {
        let health = Health::new();
        assert!(!health.is_ready());
        let (runtime, grpc) = (health.target("runtime"), health.target("grpc-api-server"));
        assert_eq!(health.unready(), ["runtime", "grpc-api-server"]);
        runtime.ready();
        assert_eq!(health.unready(), ["grpc-api-server"]);
        grpc.ready();
        assert!(health.is_ready());
        runtime.not_ready();
        assert!(!health.is_ready());
    }
}
