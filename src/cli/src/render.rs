//! `evenkeel render`: what other systems load, written from the topology file.

use evenkeel_config::render::{self, FilterSource};
use evenkeel_config::{EnvoyVersion, HostPort, Plan};
use std::path::PathBuf;
use std::process::ExitCode;

/// Writes to standard output what other systems load.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// The bootstrap of the Envoy at a region's ingress.
    Envoy {
        #[command(flatten)]
        input: Input,
        /// The filter stands in the bootstrap, whatever edge.ecds says.
        #[arg(long = "static", conflicts_with = "ecds")]
        fixed: bool,
        /// The filter stands in DIR/ecds.yaml, which Envoy reloads when it is replaced; the file is
        /// written too.
        #[arg(long, value_name = "DIR")]
        ecds: Option<PathBuf>,
        /// The oldest Envoy that must load it, 1.36 to 1.40; overrules edge.envoy_version.
        #[arg(long, value_name = "VERSION")]
        envoy_version: Option<EnvoyVersion>,
    },
    /// The plugin configuration: the JSON that the filter reads.
    Plugin(Input),
    /// The ECDS file that `render envoy --ecds` makes Envoy watch.
    Ecds(Input),
    /// Manifests for Istio: WasmPlugin, and what the retry in another region needs.
    Istio {
        #[command(flatten)]
        input: Input,
        #[command(flatten)]
        module: Module,
    },
    /// Manifests for Envoy Gateway: EnvoyExtensionPolicy, and what the retry in another region needs.
    EnvoyGateway {
        #[command(flatten)]
        input: Input,
        #[command(flatten)]
        module: Module,
        /// The namespace it will be applied to: Envoy Gateway names its clusters after it.
        #[arg(long, default_value = "default")]
        namespace: String,
    },
    /// Route 53's records and health checks, from the dns section.
    ///
    /// change-batch is one JSON document: HealthChecks, each with the inputs of create-health-check and
    /// change-tags-for-resource, and ChangeBatch, the input of change-resource-record-sets. The ids that
    /// only Route 53 knows stand there as health-check:NAME and hosted-zone:ZONE; docs/route53.md has
    /// the commands that fill them in. terraform is a module of one file. What Route 53 does otherwise
    /// stands there as notes; what it cannot do is an error.
    Route53 {
        /// The topology file.
        #[arg(default_value = "evenkeel.yaml")]
        file: PathBuf,
        /// What is written.
        #[arg(long, value_enum, default_value_t)]
        format: Route53Format,
    },
    /// Prometheus' rules and configuration, and Alertmanager's.
    ///
    /// Alertmanager's names webhooks by their url_file alone; an address in the topology file itself is an
    /// error.
    Prometheus {
        /// The topology file.
        #[arg(default_value = "evenkeel.yaml")]
        file: PathBuf,
        /// What is written.
        #[arg(long, value_enum, default_value_t)]
        part: PrometheusPart,
        /// Where the runbooks are: each alert links to its section there.
        #[arg(long, value_name = "URL", default_value = render::prometheus::RUNBOOKS)]
        runbooks: String,
        /// Where Prometheus finds Alertmanager; only for --part config.
        #[arg(long, value_name = "HOST:PORT", default_value = render::prometheus::ALERTMANAGER)]
        alertmanager: HostPort,
    },
    /// A static fallback zone for any name server: a master file with the addresses of all regions.
    Zone {
        /// The topology file.
        #[arg(default_value = "evenkeel.yaml")]
        file: PathBuf,
        /// The SOA record's serial: secondaries take the zone up when it grows.
        #[arg(long, default_value_t = 1)]
        serial: u32,
    },
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Route53Format {
    /// JSON for the AWS command.
    #[default]
    ChangeBatch,
    /// HCL for Terraform.
    Terraform,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum PrometheusPart {
    /// rules.yaml: recording and alerting rules.
    #[default]
    Rules,
    /// prometheus.yml: what is scraped.
    Config,
    /// alertmanager.yml: who is told.
    Alertmanager,
}

#[derive(Debug, clap::Args)]
struct Input {
    /// The topology file.
    #[arg(default_value = "evenkeel.yaml")]
    file: PathBuf,
    /// The region whose edge is meant; overrules the file's local_region.
    #[arg(long)]
    region: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Module {
    /// Where the cluster's proxies fetch the filter's module: oci://…, https://… or, for Istio, file://….
    #[arg(long, value_name = "URL", default_value = render::MODULE_URL)]
    module_url: String,
}

/// Writes the rendering to standard output.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let (file, plan) = match &options.what {
        What::Envoy { input, .. }
        | What::Istio { input, .. }
        | What::EnvoyGateway { input, .. }
        | What::Plugin(input)
        | What::Ecds(input) => (&input.file, Plan::load(&input.file, input.region.as_deref())),
        // These speak of all regions, and stand in none.
        What::Route53 { file, .. } | What::Prometheus { file, .. } | What::Zone { file, .. } => {
            (file, Plan::load_anywhere(file))
        }
    };
    let rendered = plan.and_then(|mut plan| match &options.what {
        What::Envoy { fixed, ecds, envoy_version, .. } => {
            if let Some(version) = envoy_version {
                plan.file.edge.envoy_version = *version;
            }
            let configured = plan.file.edge.ecds.as_ref().map(|e| e.path.clone());
            let source = match ecds.clone().or(configured) {
                Some(directory) if !fixed => FilterSource::Ecds(directory),
                _ => FilterSource::Static,
            };
            let text = render::bootstrap(&plan, &source)?;
            Ok((
                text,
                ecds.as_ref().map(|directory| (directory.join(render::ECDS_FILE), render::ecds(&plan))),
            ))
        }
        What::Plugin(_) => Ok((render::plugin(&plan), None)),
        What::Ecds(_) => Ok((render::ecds(&plan), None)),
        What::Istio { module, .. } => Ok((render::istio(&plan, &module.module_url)?, None)),
        What::EnvoyGateway { module, namespace, .. } => {
            Ok((render::envoy_gateway(&plan, &module.module_url, namespace)?, None))
        }
        What::Route53 { format: Route53Format::ChangeBatch, .. } => {
            Ok((render::route53::change_batch(&plan)?, None))
        }
        What::Route53 { format: Route53Format::Terraform, .. } => {
            Ok((render::route53::terraform(&plan)?, None))
        }
        What::Prometheus { part, runbooks, alertmanager, .. } => {
            let text = match part {
                PrometheusPart::Rules => render::prometheus::rules(&plan, runbooks),
                PrometheusPart::Config => render::prometheus::config(&plan, &alertmanager.to_string()),
                PrometheusPart::Alertmanager => render::prometheus::alertmanager(&plan)?,
            };
            Ok((text, None))
        }
        What::Zone { serial, .. } => Ok((render::zone(&plan, *serial)?, None)),
    });
    match rendered {
        Ok((text, beside)) => {
            if let Some((path, content)) = beside {
                replace(&path, &content)?;
            }
            crate::print(&text)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            for problem in &problems.0 {
                eprintln!("{}: {problem}", file.display());
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Writes beside the file and renames: Envoy reacts to the rename, and never reads half a file.
fn replace(path: &std::path::Path, content: &str) -> anyhow::Result<()> {
    use anyhow::Context;
    let failed = || format!("{} cannot be written", path.display());
    let new = path.with_extension("yaml.new");
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(failed)?;
    }
    std::fs::write(&new, content).with_context(failed)?;
    std::fs::rename(&new, path).with_context(failed)
}
