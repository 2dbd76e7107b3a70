use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};

/// How one case ended.
pub enum Outcome {
    Passed,
    /// Does not apply, for example because the feature is not declared.
    Skipped(&'static str),
    Failed(anyhow::Error),
}

/// What a component can do, case by case. Prints as a table.
pub struct Report {
    pub component: String,
    pub features: Vec<&'static str>,
    pub cases: Vec<(&'static str, Outcome)>,
}

impl Report {
    /// Prints the table, and panics when a case failed.
    #[allow(
        clippy::print_stdout,
        reason = "the table is the product of a test run"
    )]
    pub fn finish(self) {
        println!("{self}");
        let failed = self
            .cases
            .iter()
            .filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
            .count();
        assert!(
            failed == 0,
            "{} does not conform: {failed} cases failed\n{self}",
            self.component
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.component, self.features.join(", "))?;
        for (case, outcome) in &self.cases {
            match outcome {
                Outcome::Passed => writeln!(f, "  ok    {case}")?,
                Outcome::Skipped(why) => writeln!(f, "  -     {case} ({why})")?,
                Outcome::Failed(error) => writeln!(f, "  FAIL  {case}: {error:#}")?,
            }
        }
        Ok(())
    }
}

/// Asks again until `ask` answers true, for at most `limit`.
pub(crate) async fn eventually(
    limit: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let asking = async {
        while !ask().await? {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    match tokio::time::timeout(limit, asking).await {
        Ok(result) => result,
        Err(_) => bail!("{what} not within {limit:?}"),
    }
}

/// Asks again for the whole `span`, and fails when `ask` answers false once.
pub(crate) async fn throughout(
    span: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let end = tokio::time::Instant::now() + span;
    while tokio::time::Instant::now() < end {
        if !ask().await? {
            bail!("{what} not for {span:?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
