use proptest::prelude::*;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(30);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn read(json: &str) -> Registration {
    Registration::from_json(json.as_bytes(), TIMEOUT).unwrap()
}

#[test]
fn what_is_not_said_has_its_default() {
    let registration = read(r#"{"entities": ["cat"]}"#);
    let settings = &registration.types["cat"];
    assert_eq!(settings, &TypeSettings::default());
    assert_eq!(settings.idle_timeout, seconds(3600));
    assert_eq!(registration.drain, Some(seconds(2)));
    for nothing in [r#"{}"#, r#"{"entities": null}"#, r#"{"entities": []}"#] {
        assert!(read(nothing).types.is_empty(), "{nothing}");
    }
}

#[test]
fn settings_of_a_type_replace_the_global_ones_whole() {
    let registration = read(
        r#"{
            "entities": ["cat", "dog", "cow"],
            "actorIdleTimeout": "10s",
            "drainOngoingCallTimeout": "5s",
            "drainRebalancedActors": false,
            "reentrancy": {"enabled": true, "maxStackDepth": 7},
            "remindersStoragePartitions": 3,
            "entitiesConfig": [
                {"entities": ["dog"], "drainOngoingCallTimeout": "1m", "drainRebalancedActors": true},
                {"entities": ["cow", "owl"], "actorIdleTimeout": "1h30m", "reentrancy": {"enabled": true}}
            ]
        }"#,
    );
    let cat = TypeSettings {
        idle_timeout: seconds(10),
        drain_ongoing: seconds(5),
        drain_rebalanced: false,
        reentrancy: Some(7),
    };
    let dog = TypeSettings {
        idle_timeout: seconds(3600),
        drain_ongoing: seconds(24),
        drain_rebalanced: false,
        reentrancy: None,
    };
    let cow = TypeSettings {
        idle_timeout: seconds(5400),
        drain_ongoing: seconds(5),
        drain_rebalanced: false,
        reentrancy: Some(32),
    };
    let types = [("cat", cat), ("cow", cow), ("dog", dog)];
    assert_eq!(
        registration.types,
        types.map(|(name, s)| (name.into(), s)).into()
    );
    assert_eq!(registration.drain, Some(Duration::ZERO));
}

#[test]
fn a_drain_as_long_as_a_dissemination_is_cut() {
    for (asked, timeout, expected) in [
        ("29.9s", 30, Duration::from_millis(29_900)),
        ("30s", 30, seconds(24)),
        ("5h", 30, seconds(24)),
        ("3s", 1, seconds(2)),
        ("0s", 30, Duration::ZERO),
        ("-3s", 30, Duration::ZERO),
    ] {
        let json = format!(r#"{{"drainOngoingCallTimeout": "{asked}"}}"#);
        let read = Registration::from_json(json.as_bytes(), seconds(timeout)).unwrap();
        assert_eq!(read.drain, Some(expected), "{asked} of {timeout}");
    }
}

#[test]
fn a_wrong_duration_is_refused_globally_and_replaced_for_a_type() {
    let refused = |json: &str| Registration::from_json(json.as_bytes(), TIMEOUT).unwrap_err();
    assert_eq!(
        refused(r#"{"actorIdleTimeout": "soon"}"#).to_string(),
        r#"failed to parse default actor idle timeout: time: invalid duration "soon""#
    );
    assert_eq!(
        refused(r#"{"drainOngoingCallTimeout": "5"}"#).to_string(),
        r#"failed to parse drain ongoing call timeout: time: missing unit in duration "5""#
    );
    for garbage in [
        "",
        "[]",
        "{",
        r#"{"entities": "cat"}"#,
        r#"{"reentrancy": 1}"#,
    ] {
        assert!(matches!(refused(garbage), Error::Json(_)), "{garbage:?}");
    }
    let read = read(
        r#"{"entities": ["cat"], "actorIdleTimeout": "9s", "drainOngoingCallTimeout": "9s",
            "entitiesConfig": [{"entities": ["cat"], "actorIdleTimeout": "soon", "drainOngoingCallTimeout": "x"}]}"#,
    );
    assert_eq!(read.types["cat"], TypeSettings::default());
}

#[test]
fn the_start_of_a_stream_says_the_same() {
    let duration = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    let reentrancy = |max_stack_depth| {
        Some(wire::ActorReentrancyConfig {
            enabled: true,
            max_stack_depth,
        })
    };
    let initial = wire::SubscribeActorEventsRequestInitialAlpha1 {
        entities: vec!["cat".into(), "dog".into()],
        actor_idle_timeout: duration(1, 500_000_000),
        drain_ongoing_call_timeout: duration(60, 0),
        drain_rebalanced_actors: None,
        reentrancy: reentrancy(Some(-1)),
        entities_config: vec![wire::ActorEntityConfig {
            entities: vec!["dog".into()],
            actor_idle_timeout: duration(i64::MIN, -1),
            reentrancy: reentrancy(None),
            ..Default::default()
        }],
    };
    let read = Registration::from_stream(&initial, TIMEOUT).unwrap();
    let cat = TypeSettings {
        idle_timeout: Duration::from_millis(1500),
        drain_ongoing: seconds(24),
        drain_rebalanced: true,
        reentrancy: Some(0),
    };
    let dog = TypeSettings {
        idle_timeout: Duration::ZERO,
        reentrancy: Some(32),
        ..cat.clone()
    };
    let types = [("cat", cat), ("dog", dog)];
    assert_eq!(read.types, types.map(|(name, s)| (name.into(), s)).into());
}

proptest! {
    #[test]
    fn any_duration_is_answered(text in "[0-9.a-z+-]{0,12}|\\PC*", seconds: i64, nanos: i32) {
        let json = serde_json::json!({
            "entities": ["cat"],
            "actorIdleTimeout": text,
            "entitiesConfig": [{"entities": ["cat"], "drainOngoingCallTimeout": text}],
        });
        let _ = Registration::from_json(json.to_string().as_bytes(), TIMEOUT);
        let initial = wire::SubscribeActorEventsRequestInitialAlpha1 {
            drain_ongoing_call_timeout: Some(prost_types::Duration { seconds, nanos }),
            ..Default::default()
        };
        prop_assert!(Registration::from_stream(&initial, TIMEOUT).is_ok());
    }
}
