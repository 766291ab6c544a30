//! `check`, `schema` and `render` as a person calls them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../envoy").join(name)
}

fn folder(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("evenkeel-cli-{}-{test}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn evenkeel(arguments: &[&str], file: Option<&Path>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evenkeel")).args(arguments).args(file).output().unwrap()
}

#[track_caller]
fn said(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    (out, err)
}

#[test]
fn a_valid_file_gets_one_summary_with_its_warnings() {
    let (out, _) = said(&evenkeel(&["check"], Some(&example("evenkeel.yaml"))), 0);
    assert!(out.ends_with("valid: 2 regions (taiwan, japan), 0 warnings\n"), "{out}");
    let (out, _) = said(&evenkeel(&["check"], Some(&example("plugin.json"))), 0);
    assert!(out.contains("valid: 2 regions"), "{out}");
    let folder = folder("warn");
    let path = write(&folder, "e.yaml", "service: a\nregions: [{name: one, address: \"h:1\"}]\n");
    let (out, _) = said(&evenkeel(&["check"], Some(&path)), 0);
    assert!(
        out.contains("valid: 1 region (one), ") && out.contains("\n  warning: regions: only one"),
        "{out}"
    );
}

#[test]
fn an_invalid_file_gets_all_its_faults_and_exit_code_1() {
    let folder = folder("bad");
    let path = write(&folder, "e.yaml", "service: a\nregions:\n- {name: one, weight: -1}\n- {nam: two}\n");
    let (out, err) = said(&evenkeel(&["check"], Some(&path)), 1);
    assert!(out.is_empty(), "{out}");
    assert!(err.contains("e.yaml: line 3, column 15: regions[0].weight: -1 is not a weight"), "{err}");
    assert!(err.contains("e.yaml: line 4, column 4: regions[1].nam: there is no such field"), "{err}");
    let path = write(&folder, "p.json", r#"{"regions": [{"name": "a", "cluster": "a", "wait": 1}]}"#);
    let (_, err) = said(&evenkeel(&["check"], Some(&path)), 1);
    assert!(err.contains("regions[0]") && err.contains("wait"), "{err}");
    let (_, err) = said(&evenkeel(&["check"], Some(&folder.join("none.yaml"))), 1);
    assert!(err.contains("cannot be read"), "{err}");
    let (_, err) = said(&evenkeel(&["check", "--region", "mars"], Some(&example("evenkeel.yaml"))), 1);
    assert!(err.contains("local_region: \"mars\""), "{err}");
}

#[test]
fn clusters_that_envoy_does_not_have_are_found() {
    let folder = folder("clusters");
    let rendered = example("envoy.yaml");
    let with =
        |envoy: &Path, file: &Path| evenkeel(&["check", "--envoy", envoy.to_str().unwrap()], Some(file));
    said(&with(&rendered, &example("evenkeel.yaml")), 0);
    said(&with(&rendered, &example("plugin.json")), 0);
    let text = std::fs::read_to_string(&rendered).unwrap().replace("- name: japan", "- name: nippon");
    let other = write(&folder, "envoy.yaml", &text);
    let (_, err) = said(&with(&other, &example("evenkeel.yaml")), 1);
    assert!(
        err.contains("regions[1].cluster: \"japan\": ") && err.contains("does not define this cluster"),
        "{err}"
    );
    let json = write(&folder, "envoy.json", r#"{"static_resources": {"clusters": [{"name": "taiwan"}]}}"#);
    let (_, err) = said(&with(&json, &example("plugin.json")), 1);
    assert!(err.contains("regions[1].cluster"), "{err}");
    let (_, err) = said(&with(&folder.join("none"), &example("plugin.json")), 2);
    assert!(err.contains("cannot be read"), "{err}");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in [
        &["chekc"][..],
        &["check", "--envoi", "x"],
        &["render"],
        &["render", "envoy", "--static", "--ecds", "d"],
    ] {
        said(&evenkeel(arguments, None), 2);
    }
    let (_, err) =
        said(&evenkeel(&["render", "envoy", "--envoy-version", "1.35"], Some(&example("evenkeel.yaml"))), 2);
    assert!(err.contains("1.36"), "{err}");
}

#[test]
fn the_schema_is_json() {
    let (out, _) = said(&evenkeel(&["schema"], None), 0);
    let schema: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(schema["title"], "evenkeel.yaml");
    assert!(schema["properties"]["edge"].is_object());
}

#[test]
fn renderings_go_to_standard_output_and_the_ecds_file_to_its_directory() {
    let folder = folder("render");
    let file = example("evenkeel.yaml");
    for (arguments, name) in [
        (&["render", "envoy", "--static"][..], "envoy.yaml"),
        (&["render", "envoy", "--envoy-version", "1.36"], "envoy-1.36.yaml"),
        (&["render", "plugin"], "plugin.json"),
        (&["render", "ecds"], "ecds/ecds.yaml"),
        (&["render", "istio"], "istio.yaml"),
        (&["render", "envoy-gateway"], "envoy-gateway.yaml"),
    ] {
        let (out, err) = said(&evenkeel(arguments, Some(&file)), 0);
        assert_eq!(out, std::fs::read_to_string(example(name)).unwrap(), "{arguments:?}");
        assert!(err.is_empty(), "{err}");
    }
    let directory = folder.join("new");
    let (out, _) =
        said(&evenkeel(&["render", "envoy", "--ecds", directory.to_str().unwrap()], Some(&file)), 0);
    assert!(out.contains(&format!("path: {}/ecds.yaml", directory.display())), "{out}");
    let written = std::fs::read_to_string(directory.join("ecds.yaml")).unwrap();
    assert_eq!(written, std::fs::read_to_string(example("ecds/ecds.yaml")).unwrap());
    let (out, _) = said(&evenkeel(&["render", "plugin", "--region", "japan"], Some(&file)), 0);
    assert!(out.contains("\"local_region\": \"japan\""), "{out}");
}

#[test]
fn a_region_without_an_address_cannot_be_rendered_for_envoy() {
    let folder = folder("address");
    let path = write(&folder, "e.yaml", "service: a\nregions: [{name: one}]\n");
    let (_, err) = said(&evenkeel(&["render", "envoy"], Some(&path)), 1);
    assert!(err.contains("regions[0].address: is missing"), "{err}");
    said(&evenkeel(&["render", "plugin"], Some(&path)), 0);
}
