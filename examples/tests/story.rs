//! The demonstration, as people run it.

use std::process::Command;

#[test]
fn the_story_ends_well() {
    for program in ["dapr", "daprd", "sentry", "placement", "scheduler"] {
        if testkit::binary(program).is_err() {
            testkit::skip(format!("{program} is not built; run `make build`"));
            return;
        }
    }
    let daprd = testkit::binary("daprd").expect("built");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/demo.sh");
    let output = Command::new("sh")
        .arg(script)
        .arg(daprd.parent().expect("in a folder"))
        .output()
        .expect("starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for part in [
        "got  409 Conflict",
        "heard from inventory",
        "over mutual TLS: its certificate says spiffe://public/ns/default/orders",
        "The story is complete",
        "the cart of anna is reminded",
        "The carts are done",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
}
