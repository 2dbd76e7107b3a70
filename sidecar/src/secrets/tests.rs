use super::scope::{Entry, Scopes};

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn scopes_decide_in_the_documented_order() {
    for (default, allowed, denied, secret, expected) in [
        ("", &[][..], &[][..], "a", true),
        ("allow", &[], &["a"][..], "a", false),
        ("Allow", &[], &["a"], "b", true),
        ("deny", &[], &[], "a", false),
        ("DENY", &["a"][..], &[], "a", true),
        ("allow", &["a"], &[], "b", false),
        ("allow", &["a"], &["a"], "a", true),
    ] {
        let entry = Entry {
            store: "s",
            default_access: default,
            allowed: &names(allowed),
            denied: &names(denied),
        };
        let scopes = Scopes::new([entry]).unwrap();
        assert_eq!(
            scopes.allows("s", secret),
            expected,
            "{default} {allowed:?} {denied:?} {secret}"
        );
        assert!(scopes.allows("other", secret));
    }
}

#[test]
fn scopes_that_contradict_themselves_are_refused() {
    let entry = |default| Entry {
        store: "s",
        default_access: default,
        allowed: &[],
        denied: &[],
    };
    let repeated = Scopes::new([entry(""), entry("")]).unwrap_err();
    assert_eq!(repeated, "s storeName is repeated in secrets configuration");
    assert_eq!(
        Scopes::new([entry("some")]).unwrap_err(),
        "defaultAccess some can be either allow or deny"
    );
}
