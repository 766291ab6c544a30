//! What experiments are told of the processes that are left running: `target.yaml`, and a pid file each.

use super::children::{region_command, region_log};
use super::journal::Region;
use super::script::Stage;
use anyhow::{Context, Result};
use evenkeel_chaos::faults::process::write_whole;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Writes both, and says where the target is.
pub fn write(stage: &Stage, out: &Path) -> Result<PathBuf> {
    let local = |port: u16| format!("127.0.0.1:{port}");
    let mut parts = Vec::new();
    for region in Region::ALL {
        let pid = stage.pid(region).with_context(|| format!("{} has ended", region.name()))?;
        let pid_file = out.join(format!("{}.pid", region.name()));
        write_whole(&pid_file, format!("{pid}\n").as_bytes())
            .with_context(|| format!("cannot write {}", pid_file.display()))?;
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        parts.push(json!({
            "name": region.name(), "region": region.name(), "role": "application",
            "process": {
                "pid-file": name(&pid_file),
                "start": region_command(region, stage.ports.region(region))?,
                "log": name(&region_log(region, out)),
            },
        }));
    }
    let client = |region: Region, country: &str| json!({"region": region.name(), "edge": local(stage.ports.edge), "country": country});
    let target = json!({
        "name": "local",
        "topology": "evenkeel.yaml",
        "clients": [client(Region::Taiwan, "TW"), client(Region::Japan, "JP")],
        "edges": [{"region": "taiwan", "address": local(stage.ports.admin)}],
        "parts": parts,
    });
    let path = out.join("target.yaml");
    // JSON is YAML too.
    let text = format!("# Written by evenkeel demo --keep, for evenkeel chaos run.\n{target:#}\n");
    write_whole(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
