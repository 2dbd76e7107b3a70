use prost::Message;
use prost_types::{Any, Duration, Timestamp};
use proto::dapr::scheduler::v1::{Job, JobMetadata, JobTargetMetadata, TargetJob};

use super::api::{FailurePolicy, FailurePolicyConstant, FailurePolicyDrop, failure_policy::Policy};
use super::*;

#[track_caller]
fn check<M: Message + Default + PartialEq + std::fmt::Debug>(message: &M, expected: &str) {
    let bytes = message.encode_to_vec();
    let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(shown, expected.replace(' ', ""));
    assert_eq!(M::decode(&*bytes).unwrap(), *message);
}

fn at(seconds: i64, nanos: i32) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos })
}

#[test]
fn stored_bytes_are_those_of_upstream() {
    let constant = Policy::Constant(FailurePolicyConstant {
        interval: Some(Duration {
            seconds: 1,
            nanos: 0,
        }),
        max_retries: Some(3),
    });
    let job = api::Job {
        due_time: Some("1s".into()),
        ttl: Some("2s".into()),
        repeats: Some(2),
        payload: Some(Any {
            type_url: "t".into(),
            value: b"v".to_vec(),
        }),
        failure_policy: Some(FailurePolicy {
            policy: Some(constant),
        }),
        ..api::Job::default()
    };
    check(
        &stored::Job {
            partition_id: 300,
            begin: at(5, 6).map(stored::job::Begin::DueTime),
            expiration: at(9, 0),
            job: Some(job),
        },
        "08ac02 1a0408051006 22020809 2a1c \
         12023173 1a023273 2002 32060a0174120176 3a0812060a0208011003",
    );
    let job = api::Job {
        schedule: Some("s".into()),
        metadata: Some(Any {
            type_url: "m".into(),
            value: Vec::new(),
        }),
        failure_policy: Some(FailurePolicy {
            policy: Some(Policy::Drop(FailurePolicyDrop {})),
        }),
        ..api::Job::default()
    };
    check(
        &stored::Job {
            partition_id: 1,
            begin: at(5, 0).map(stored::job::Begin::Start),
            expiration: None,
            job: Some(job),
        },
        "0801 12020805 2a0c 0a0173 2a030a016d 3a020a00",
    );
    check(
        &stored::Counter {
            job_partition_id: 1,
            count: 2,
            last_trigger: at(5, 0),
            attempts: 3,
        },
        "0801 1002 1a020805 2003",
    );
    check(
        &cron::stored::Leadership {
            total: 3,
            uid: 4,
            replica_data: None,
        },
        "0803 1004",
    );
}

#[test]
fn metadata_is_stored_under_its_full_name() {
    let metadata = JobMetadata {
        app_id: "cart".into(),
        namespace: "default".into(),
        target: Some(JobTargetMetadata {
            r#type: Some(proto::dapr::scheduler::v1::job_target_metadata::Type::Job(
                TargetJob {},
            )),
        }),
        concurrency_key: None,
    };
    let job = Job {
        due_time: Some("1s".into()),
        ..Job::default()
    };
    let stored = accept(job.clone(), &metadata, jiff::Timestamp::UNIX_EPOCH).unwrap();
    let stored_metadata = stored.job.as_ref().unwrap().metadata.clone().unwrap();
    assert_eq!(
        stored_metadata.type_url,
        "type.googleapis.com/dapr.proto.scheduler.v1.JobMetadata"
    );
    assert_eq!(target::metadata(Some(&stored_metadata)).unwrap(), metadata);
    assert_eq!(stored.begin, at(1, 0).map(stored::job::Begin::DueTime));
    let shown = show(stored);
    assert_eq!(shown.due_time, job.due_time);
    let policy = shown.failure_policy.unwrap().policy.unwrap();
    assert!(format!("{policy:?}").contains("max_retries: Some(3)"));
}

#[test]
fn keys_are_checked_as_a_whole() {
    let long = "é".repeat(256);
    for key in ["app||ns||a||b", "a@b", "Ä ö|", &long, "..."] {
        assert_eq!(check_key(key), Ok(()), "{key}");
    }
    let too_long = format!("{long}x");
    for (key, reason) in [
        ("", "must not be empty, '.' or '..'"),
        ("..", "must not be empty, '.' or '..'"),
        (too_long.as_str(), "must be at most 512 characters"),
        ("a/b", "must not contain '/', '\\', '#' or '?'"),
        ("a\\b", "must not contain '/', '\\', '#' or '?'"),
        ("a\u{85}b", "must not contain control characters"),
        ("a\u{7f}", "must not contain control characters"),
    ] {
        let error = check_key(key).unwrap_err().to_string();
        assert!(error.starts_with("job name is invalid \""), "{error}");
        assert!(error.ends_with(reason), "{error}");
    }
}
