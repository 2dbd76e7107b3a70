//! What sidecars have scheduled.

use jiff::Timestamp;
use proto::dapr::scheduler::v1::JobMetadata;
use proto::dapr::scheduler::v1::job_target_metadata::Type;
use scheduler::fuzzing::{First, Taken};

/// A message that schedules a job: what is taken is listed and fired as it came.
pub fn jobs(data: &[u8]) {
    let now = Timestamp::from_second(1_900_000_000).expect("a moment");
    let Ok(taken) = scheduler::fuzzing::job(data, now) else {
        return;
    };
    let Taken {
        request,
        key,
        shown,
        first,
    } = taken;
    let metadata = request.metadata.expect("without it nothing is taken");
    assert_eq!(key, format!("{}{}", begin(&metadata), request.name));
    assert!(key.len() <= 512 && !key.contains(['/', '\\', '#', '?']));

    let shown = shown.expect("what is taken is listed");
    assert_eq!(shown.name, request.name);
    assert_eq!(shown.metadata.as_ref(), Some(&metadata));
    let (given, kept) = (request.job.unwrap_or_default(), shown.job);
    let kept = kept.expect("it is listed whole");
    assert_eq!(kept.schedule, given.schedule);
    assert_eq!(kept.due_time, given.due_time);
    assert_eq!((kept.repeats, &kept.ttl), (given.repeats, &given.ttl));
    assert_eq!(kept.data, given.data);
    assert!(kept.failure_policy.is_some());

    match first {
        First::Fires(trigger) => {
            assert_eq!(trigger.name, request.name);
            assert_eq!(trigger.data, given.data);
            assert_eq!(trigger.metadata, Some(metadata));
        }
        // Its first time lies behind its end.
        First::Ends => assert!(given.schedule.is_some(), "it was due once"),
        First::Nothing => panic!("it was taken and is passed over"),
    }
}

/// What the keys of all jobs of this target begin with.
fn begin(metadata: &JobMetadata) -> String {
    let JobMetadata {
        namespace, app_id, ..
    } = metadata;
    let target = metadata.target.as_ref().and_then(|t| t.r#type.as_ref());
    match target.expect("without it nothing is taken") {
        Type::Job(_) => format!("app||{namespace}||{app_id}||"),
        Type::Actor(actor) => {
            let (kind, id) = (&actor.r#type, &actor.id);
            format!("actorreminder||{namespace}||{kind}||{id}||")
        }
    }
}
