//! The schedulers that share the jobs, as sidecars are told.

use std::sync::Arc;

use tokio::sync::watch;

/// Addresses in the order of the alphabet; empty until the schedulers agree.
pub type Addresses = Arc<[String]>;

/// This process's place among all schedulers; clones follow the same list.
#[derive(Clone, Debug)]
pub struct Hosts {
    own: Arc<str>,
    all: watch::Receiver<Addresses>,
}

impl Hosts {
    /// A scheduler at `own` among those of a list that changes. Each value that
    /// is sent is told to the sidecars, also one that equals the last.
    pub fn new(own: &str, all: watch::Receiver<Addresses>) -> Self {
        let own = own.into();
        Self { own, all }
    }

    /// A scheduler without others.
    pub fn alone(own: &str) -> Self {
        // The last value stays when the sender is gone.
        let (_, all) = watch::channel([own.to_owned()].into());
        Self::new(own, all)
    }

    /// The list, to be followed.
    pub fn all(&self) -> watch::Receiver<Addresses> {
        self.all.clone()
    }

    /// This scheduler's index and the number of all; a list without it counts
    /// as if it were the only one.
    pub fn place(&self) -> (usize, usize) {
        let all = self.all.borrow();
        let found = all.iter().position(|address| **address == *self.own);
        found.map_or((0, 1), |index| (index, all.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduler_knows_its_place() {
        let (sender, all) = watch::channel(Addresses::default());
        let hosts = Hosts::new("b:1", all);
        assert_eq!(hosts.place(), (0, 1));
        let list = ["a:1", "b:1", "c:1"].map(str::to_owned);
        sender.send(list.into()).unwrap();
        assert_eq!(hosts.place(), (1, 3));
        assert_eq!(Hosts::alone("x:1").place(), (0, 1));
        assert_eq!(
            *Hosts::alone("x:1").all().borrow().clone(),
            ["x:1".to_owned()]
        );
    }
}
