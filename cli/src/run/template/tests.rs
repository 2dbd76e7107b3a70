//! Templates as users write them, and what becomes of them.

use super::*;

/// A folder with the named sub-folders and files, and the template in it.
fn read(text: &str, paths: &[&str]) -> (tempfile::TempDir, Result<Template>) {
    let folder = tempfile::tempdir().expect("folder");
    for path in paths {
        let path = folder.path().join(path);
        if path.extension().is_some() {
            fs::create_dir_all(path.parent().expect("below")).expect("folder");
            fs::write(path, "").expect("written");
        } else {
            fs::create_dir_all(path).expect("folder");
        }
    }
    let file = folder.path().join("dapr.yaml");
    fs::write(&file, text).expect("written");
    let template = load(folder.path());
    (folder, template)
}

#[test]
fn an_application_overrides_what_is_common() {
    let text = "\
version: 1
name: shop
common:
  logLevel: warn
  appMaxConcurrency: 7
  resourcesPath: ./shared
  env: { A: common, B: common }
  daprdLogDestination: fileAndConsole
  mtls: true
apps:
- appDirPath: ./one
  appPort: 8080
  daprHTTPPort: 3501
  command: [\"./one\", \"--x\"]
- appID: second
  appDirPath: two
  logLevel: debug
  resourcesPaths: [res]
  env: { B: own, PORT: 3000 }
  appLogDestination: console
  enableApiLogging: true
  mtls: false
";
    let (folder, template) = read(text, &["shared", "one", "two/res", "two/.dapr/config.yaml"]);
    let template = template.expect("valid");
    let at = |path: &str| fs::canonicalize(folder.path().join(path)).expect("there");
    let [one, two] = &template.apps[..] else {
        panic!("two applications")
    };

    assert_eq!(
        (one.app_id.as_str(), one.app_port, one.dapr_http_port),
        ("one", 8080, 3501)
    );
    assert_eq!(one.command, ["./one", "--x"]);
    assert_eq!(
        (one.log_level.as_str(), one.app_max_concurrency),
        ("warn", 7)
    );
    assert_eq!(one.resources_path, [at("shared")]);
    assert_eq!(
        (one.app_dir.clone(), one.config.clone()),
        (Some(at("one")), None)
    );
    assert_eq!(
        (one.dapr_grpc_port, one.app_protocol.as_str()),
        (-1, "http")
    );
    assert_eq!((one.mtls, two.mtls), (true, false));
    let origin = one.template.as_ref().expect("from a template");
    assert_eq!(
        (origin.name.as_str(), &origin.path),
        ("shop", &at("dapr.yaml"))
    );
    assert_eq!(origin.app_log, Destination::FileAndConsole);
    assert_eq!(origin.daprd_log, Destination::FileAndConsole);

    assert_eq!(
        (two.app_id.as_str(), two.log_level.as_str()),
        ("second", "debug")
    );
    assert_eq!(two.resources_path, [at("two/res")]);
    assert_eq!(two.config, Some(at("two/.dapr/config.yaml")));
    assert!(two.enable_api_logging);
    let env: Vec<_> = two.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(env, ["A=common", "B=own", "PORT=3000"]);
    assert_eq!(
        two.template.as_ref().expect("from a template").app_log,
        Destination::Console
    );
}

#[test]
fn an_empty_placement_address_switches_it_off_and_an_empty_scheduler_address_does_not() {
    let text = "\
version: 1
common: { placementHostAddress: \"\", schedulerHostAddress: \"\" }
apps: [{ appDirPath: . }]
";
    let (_folder, template) = read(text, &[]);
    let app = template.expect("valid").apps.remove(0);
    assert_eq!(app.placement_host_address, "");
    assert_eq!(app.scheduler_host_address, "localhost");
}

#[test]
fn mistakes_are_named() {
    let check = |text: &str, expected: &str| {
        let (_folder, template) = read(text, &[]);
        let error = template.expect_err("refused");
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    };
    check("apps: []", "required field 'version'");
    check(
        "version: 1\napps: [{ appID: a }]",
        "required field 'appDirPath'",
    );
    check(
        "version: 1\napps: [{ appDirPath: ./nowhere }]",
        "error in finding path",
    );
    check(
        "version: 1\napps: [{ appDirPath: ., appPort: many }]",
        "is not valid",
    );
    check("version: [", "is not valid");
}

#[test]
fn a_misspelt_key_is_reported() {
    let text = "version: 1\napps: [{ appDirPath: ., appport: 1, containerImage: x }]";
    let (_folder, template) = read(text, &[]);
    assert_eq!(
        template.expect("valid").unknown_keys,
        BTreeSet::from(["appport".to_owned()])
    );
}
