//! `run` and `abort`: an experiment from its start to its verdict, and healing what was left.

use super::console::{self, Console};
use super::source::{self, Source};
use super::target::TargetOptions;
use anyhow::{Context, Result, anyhow, ensure};
use evenkeel_chaos::journal::{Journal, Status};
use evenkeel_chaos::runner;
use evenkeel_chaos::target::Target;
use evenkeel_chaos::undo::{Book, Hold, Real};
use evenkeel_chaos::{drill, measure, report, verdict};
use evenkeel_policy::time::Millis;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What a process that was stopped by Ctrl-C ends with.
const INTERRUPTED: u8 = 130;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// A name of `evenkeel chaos list`, or a file
    experiment: String,
    #[command(flatten)]
    target: TargetOptions,
    /// What the platform is meant to promise; refused if the platform that runs has another one
    #[arg(long, value_parser = ["rpo0", "rpo1s"])]
    profile: Option<String>,
    /// Requests per second over all clients [default: the experiment's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rate: Option<u32>,
    /// How often, one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: u32,
}

#[derive(Debug, clap::Args)]
pub struct AbortOptions {
    #[command(flatten)]
    target: TargetOptions,
}

#[derive(Debug, clap::Args)]
pub struct DrillOptions {
    /// The region whose traffic goes elsewhere
    region: String,
    /// For how long, like 5m; it ends by itself
    #[arg(long = "for", value_name = "SPAN", value_parser = Millis::parse)]
    span: Millis,
    /// Requests per second that measure it, besides the traffic there is
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rate: u32,
    #[command(flatten)]
    target: TargetOptions,
}

/// `evenkeel chaos drill`. 0: evacuated and nothing failed; 1: not so; 130: ended early, and undone.
pub fn drill(options: &DrillOptions) -> Result<ExitCode> {
    ensure!(
        (Millis::from_secs(10)..=Millis::from_secs(3600)).contains(&options.span),
        "--for {}: use 10s to 1h",
        options.span
    );
    let target = options.target.load()?;
    let experiment = drill::experiment(&target, &options.region, options.span, options.rate)
        .map_err(|error| anyhow!("{error}"))?;
    let _hold = Hold::take(&options.target.target)?;
    runtime()?.block_on(async {
        heal(&target, &options.target).await?;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(until_stopped(stop, options.target.abort()));
        let settings = runner::Options {
            out: options.target.out.clone(),
            command: command(),
            profile: None,
            stop: stopped,
        };
        let name = format!("drill-{}", options.region);
        let mut console = Console::new();
        let journal = runner::run(&experiment, &name, &target, &settings, &mut console).await?;
        let passed = conclude(&journal, &target, &options.target.out)?;
        if journal.status == Status::Interrupted {
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Ok(ExitCode::from(u8::from(!passed)))
    })
}

/// `evenkeel chaos run`. 0: passed; 1: missed; 130: interrupted, and everything undone.
pub fn run(options: &Options) -> Result<ExitCode> {
    let Source { name, mut experiment, .. } = source::find(&options.experiment)?;
    if let Some(rate) = options.rate {
        experiment.load.rate = rate;
    }
    let target = options.target.load()?;
    let _hold = Hold::take(&options.target.target)?;
    let out = &options.target.out;
    runtime()?.block_on(async {
        heal(&target, &options.target).await?;
        let (stop, stopped) = watch::channel(false);
        let remedy = options.target.abort();
        tokio::spawn(until_stopped(stop, remedy));
        let mut missed = false;
        for turn in 1..=options.repeat {
            if options.repeat > 1 {
                println!("{name}: run {turn} of {}", options.repeat);
            }
            let settings = runner::Options {
                out: out.clone(),
                command: command(),
                profile: options.profile.clone(),
                stop: stopped.clone(),
            };
            let mut console = Console::new();
            let journal = runner::run(&experiment, &name, &target, &settings, &mut console).await?;
            missed |= !conclude(&journal, &target, out)?;
            if journal.status == Status::Interrupted {
                return Ok(ExitCode::from(INTERRUPTED));
            }
        }
        Ok(ExitCode::from(u8::from(missed)))
    })
}

/// Files, and the verdict; true if passed.
fn conclude(journal: &Journal, target: &Target, out: &Path) -> Result<bool> {
    let kept = runner::save(journal, out)?;
    let figures = measure::figures(journal);
    let outcome = verdict::judge(journal, &figures);
    let page = runner::folder(out, &journal.run).join("report.html");
    std::fs::write(&page, report::page_of(journal, &figures, &outcome))
        .with_context(|| format!("{}: cannot be written", page.display()))?;
    println!("\n{}", console::verdict(journal, &outcome));
    let index = super::report::write_index(out, Some(&target.topology))?;
    println!(
        "Report:     {}\nAll runs:   {}\nJournal:    {}",
        page.display(),
        index.display(),
        kept.display()
    );
    println!("Once more:  {}", journal.environment.command);
    Ok(outcome.passed)
}

/// `evenkeel chaos abort`.
pub fn abort(options: &AbortOptions) -> Result<ExitCode> {
    let target = options.target.load()?;
    let _hold =
        Hold::take(&options.target.target).context("end that run by Ctrl-C: it undoes everything itself")?;
    let healed = runtime()?.block_on(heal(&target, &options.target))?;
    if !healed {
        println!("nothing to heal on {}", target.name);
    }
    Ok(ExitCode::SUCCESS)
}

/// Undoes what an earlier run left behind; true if there was something.
pub async fn heal(target: &Target, options: &TargetOptions) -> Result<bool> {
    let Some(mut book) = Book::left(&options.out, &target.name)? else { return Ok(false) };
    println!("{} was not undone by its run {}: healing first", book.whom().join(", "), book.run());
    let began = Instant::now();
    let now = || began.elapsed().as_secs_f64() * 1000.0;
    let mut said = |activity: evenkeel_chaos::journal::Activity| match activity.error {
        None => println!("  {}", activity.name),
        Some(error) => println!("  {}: {error}", activity.name),
    };
    let healed = book.heal(&Real, &now, &mut said).await;
    healed
        .with_context(|| format!("not all could be undone; {} says what is left", book.path().display()))?;
    println!("healed after {:.1} s", began.elapsed().as_secs_f64());
    Ok(true)
}

/// The first signal ends the run by its own way; the second one at once.
async fn until_stopped(stop: watch::Sender<bool>, remedy: String) {
    let signals = || -> std::io::Result<_> {
        Ok((
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ))
    };
    let Ok((mut interrupt, mut terminate, mut hangup)) = signals() else { return };
    for again in [false, true] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        if again {
            eprintln!("\nstopped at once; what is left is healed by: {remedy}");
            std::process::exit(INTERRUPTED.into());
        }
        eprintln!("\nstopping: undoing everything first (once more: stop at once)");
        stop.send(true).ok();
    }
}

/// What this was started by, so that a shell takes it again.
fn command() -> String {
    let plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&b))
    };
    let quoted = |word: String| match plain(&word) {
        true => word,
        false => format!("'{}'", word.replace('\'', "'\\''")),
    };
    let words = std::env::args().skip(1).map(quoted);
    ["evenkeel".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// A runtime for a run.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
