//! Many sidecars that join a placement service at once.

use std::sync::Arc;
use std::time::Duration;

use service::Tasks;
use tokio::time::{Instant, sleep};

use super::join::Crowd;
use super::plane::{Member, Plane};
use super::report::Table;
use super::{median, mib, millis, process};

const SIDECARS: u32 = 1000;
const SERVICES: usize = 5;
/// In which the last round ends, after all have the table.
const REST: Duration = Duration::from_millis(300);

pub(super) async fn measure(table: &mut Table) -> anyhow::Result<()> {
    let plane = Plane::start().await?;
    for (name, member, budget) in [
        ("placement", &plane.placement, "8 MiB"),
        ("scheduler", &plane.scheduler, "12 MiB"),
    ] {
        let (rss, pss) = process::memory(member.id())?;
        let text = format!("{} RSS, {} PSS", mib(rss), mib(pss));
        table.row(&format!("idle memory, {name}"), text, budget);
    }
    let (mut times, mut cpu, mut rounds, mut memory) = (vec![], vec![], vec![], 0);
    for _ in 0..SERVICES {
        let placement = Member::placement().await?;
        let tasks = Tasks::new();
        let before = process::cpu(&[placement.id()])?;
        let crowd = Crowd::new(SIDECARS);
        times.push(together(&crowd, placement.port, &tasks).await?);
        sleep(REST).await;
        cpu.push(process::cpu(&[placement.id()])?.saturating_sub(before));
        (memory, _) = process::memory(placement.id())?;
        tasks.shutdown(REST).await;
        rounds.push(crowd.rounds());
    }
    let name = format!("{SIDECARS} sidecars join at once: all have the final table");
    table.row(&name, millis(median(times)), "200 ms");
    let name = format!("{SIDECARS} sidecars join at once: CPU of placement");
    table.row(&name, millis(median(cpu)), "300 ms");
    let name = format!("{SIDECARS} sidecars join at once: tables that were sent");
    let rounds: Vec<_> = rounds.iter().map(ToString::to_string).collect();
    table.row(&name, rounds.join(", "), "");
    let name = format!("memory of placement with {SIDECARS} sidecars");
    table.row(&name, mib(memory), "");
    Ok(())
}

/// Until all have the table with everybody in it; they stay until the tasks end.
async fn together(crowd: &Arc<Crowd>, port: u16, tasks: &Tasks) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let joining: Vec<_> = (0..SIDECARS)
        .map(|number| tasks.spawn("sidecar", crowd.clone().join(port, number, tasks.clone())))
        .collect();
    for joined in joining {
        joined.await??;
    }
    Ok(begin.elapsed())
}
