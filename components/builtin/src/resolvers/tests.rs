use component::resolution::{Instance, ResolveRequest};
use component::{Env, Registry};
use serde_json::Value;

/// What a resolver of this name answers for an app, opened as the sidecar does:
/// its addresses with commas between, or `error: ...`.
pub(super) async fn resolved(name: &str, configuration: Value, id: &str) -> String {
    let mut registry = Registry::default();
    super::register(&mut registry);
    let open = registry.name_resolver(name, "").unwrap();
    let answer = async {
        let resolver = open(configuration, Env::named(name), Instance::default()).await?;
        let id = id.to_owned();
        let req = ResolveRequest {
            id,
            port: 50002,
            ..ResolveRequest::default()
        };
        resolver.resolve(req).await
    };
    match answer.await {
        Ok(addresses) => addresses.join(","),
        Err(e) => format!("error: {e}"),
    }
}

#[test]
fn resolvers_are_found_by_name_in_any_case() {
    let mut registry = Registry::default();
    super::register(&mut registry);
    for (name, version, found) in [
        ("mdns", "v1", true),
        ("mDNS", "", true),
        ("Kubernetes", "V1", true),
        ("structured", "v1", true),
        ("mdns", "v2", false),
        ("nobody", "v1", false),
    ] {
        let got = registry.name_resolver(name, version).is_some();
        assert_eq!(got, found, "{name}/{version}");
    }
    let described: Vec<_> = registry.descriptors().map(|d| (d.block, d.name)).collect();
    assert!(
        described.contains(&("nameresolution", "mdns")),
        "{described:?}"
    );
}
