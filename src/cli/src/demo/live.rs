//! The live view in a terminal.

use super::journal::{Breaker, Journal, Log, Region};
use super::now::{Now, RegionNow, now};
use super::stats::{describe, moves, slices};
use anyhow::Result;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::bar;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, RenderDirection, Sparkline};
use ratatui::{DefaultTerminal, Frame};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

const TAIWAN: Color = Color::LightBlue;
const JAPAN: Color = Color::Yellow;

/// Time between two pictures.
const PICTURE: Duration = Duration::from_millis(200);

/// One column of the sparklines.
const COLUMN: Duration = Duration::from_millis(500);

/// Whether standard output is a terminal that can be drawn on.
pub fn possible() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The terminal, given back as it was when this is dropped.
pub struct Live {
    terminal: DefaultTerminal,
    done: Arc<AtomicBool>,
}

impl Live {
    pub fn start() -> Result<Live> {
        Ok(Live { terminal: ratatui::try_init()?, done: Arc::default() })
    }

    /// Draws until it is dropped, or returns when the person asks to stop.
    pub async fn run(&mut self, journal: &Journal, about: &[String; 2]) -> Result<()> {
        let mut quit = keys(self.done.clone());
        let mut pictures = tokio::time::interval(PICTURE);
        loop {
            tokio::select! {
                // Raw mode hands Ctrl-C to us as a key. A thread that cannot read keys is no reason
                // to stop.
                Ok(()) = &mut quit => return Ok(()),
                _ = pictures.tick() => {
                    let at = journal.now();
                    let log = journal.log();
                    self.terminal.draw(|frame| draw(frame, &log, at, about))?;
                }
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        ratatui::restore();
    }
}

fn keys(done: Arc<AtomicBool>) -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        while !done.load(Ordering::Relaxed) {
            if !matches!(event::poll(PICTURE), Ok(true)) {
                continue;
            }
            let Ok(Event::Key(key)) = event::read() else { continue };
            let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            if key.kind == KeyEventKind::Press && (ctrl_c || key.code == KeyCode::Char('q')) {
                sender.send(()).ok();
                return;
            }
        }
    });
    receiver
}

fn draw(frame: &mut Frame<'_>, log: &Log, at: Duration, about: &[String; 2]) {
    let now = now(log, at);
    let [title, regions, traffic, failures, events] = Layout::vertical([
        Constraint::Length(4),
        Constraint::Length(4),
        Constraint::Min(8),
        Constraint::Length(4),
        Constraint::Max(8),
    ])
    .areas(frame.area());
    frame.render_widget(heading(&now, about), title);
    frame.render_widget(standings(&now, regions.width), regions);
    sparklines(frame, log, &now, traffic);
    frame.render_widget(figures(&now), failures);
    frame.render_widget(happened(log, events.height), events);
}

fn colour(region: Region) -> Color {
    match region {
        Region::Taiwan => TAIWAN,
        Region::Japan => JAPAN,
    }
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn heading(now: &Now, about: &[String; 2]) -> Paragraph<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    Paragraph::new(vec![
        Line::from(vec![
            Span::styled("Evenkeel demo", bold),
            Span::raw(format!("   {:5.1} s   ", now.at.as_secs_f64())),
            Span::styled(now.phase.clone(), bold.fg(Color::Cyan)),
        ]),
        Line::styled(about[0].clone(), dim()),
        Line::styled(about[1].clone(), dim()),
    ])
}

fn standings(now: &Now, width: u16) -> Paragraph<'static> {
    let lines = Region::ALL.map(|region| standing(region, &now.regions[region as usize], width));
    Paragraph::new(lines.to_vec()).block(Block::new().title(Line::styled("Regions", dim())))
}

fn standing(region: Region, now: &RegionNow, width: u16) -> Line<'static> {
    let state = match now.word() {
        "OUT" => Color::Red,
        "IN" => Color::Green,
        _ => Color::Yellow,
    };
    let health = match now.standing.healthy {
        Some(true) => Span::raw("healthy  "),
        Some(false) => Span::styled("unhealthy", Style::new().fg(Color::Red)),
        None => Span::raw("?        "),
    };
    let breaker = match now.standing.breaker {
        Some(breaker @ Breaker::Closed) => Span::raw(format!("{breaker:9}")),
        Some(breaker) => Span::styled(format!("{breaker:9}"), Style::new().fg(Color::Red)),
        None => Span::raw("?        "),
    };
    let share = now.standing.share.unwrap_or(0);
    // What stands left and right of the bar takes 60 columns.
    let columns = usize::from(width.saturating_sub(60).clamp(5, 50));
    let filled = (usize::from(share) * columns).div_ceil(100);
    Line::from(vec![
        Span::styled(
            format!("{:7}", region.title()),
            Style::new().fg(colour(region)).add_modifier(Modifier::BOLD),
        ),
        Span::styled(format!("{:5}", now.word()), Style::new().fg(state).add_modifier(Modifier::BOLD)),
        health,
        Span::raw("  breaker "),
        breaker,
        Span::raw(" share "),
        Span::styled("█".repeat(filled), Style::new().fg(colour(region))),
        Span::styled("░".repeat(columns - filled), dim()),
        Span::raw(format!("{share:4} %{:5}/s", now.rate)),
    ])
}

fn sparklines(frame: &mut Frame<'_>, log: &Log, now: &Now, area: Rect) {
    let columns = u32::from(area.width);
    // Only full columns, so that the newest is not always a dip.
    let to = COLUMN * (now.at.as_millis() / COLUMN.as_millis()) as u32;
    let from = to.saturating_sub(COLUMN * columns);
    let slices = slices(&log.records, from, to, COLUMN);
    let top = slices.iter().map(|slice| slice.requests()).max().unwrap_or(0).max(1);
    let areas: [Rect; 2] = Layout::vertical([Constraint::Fill(1); 2]).areas(area);
    for (region, area) in Region::ALL.into_iter().zip(areas) {
        let counts: Vec<u64> = slices.iter().rev().map(|s| u64::from(s.answered[region as usize])).collect();
        let title = format!("Answered by {} (a column is half a second, newest right)", region.title());
        let sparkline = Sparkline::default()
            .block(Block::new().title(Line::styled(title, dim())))
            .data(counts)
            .max(u64::from(top))
            .bar_set(bar::NINE_LEVELS)
            .direction(RenderDirection::RightToLeft)
            .style(Style::new().fg(colour(region)));
        frame.render_widget(sparkline, area);
    }
}

fn figures(now: &Now) -> Paragraph<'static> {
    let count = |name: &'static str, count: usize| {
        let style = if count == 0 { Style::new().fg(Color::Green) } else { Style::new().fg(Color::Red) };
        [Span::raw(name), Span::styled(count.to_string(), style)]
    };
    let time =
        |time: Option<Duration>| time.map_or("-".to_owned(), |t| format!("{:.1} ms", t.as_secs_f64() * 1e3));
    let [p50, p99] = now.latency.map(time);
    let mut failed = count("failed GET ", now.failed_gets).to_vec();
    failed.extend(count("   failed POST ", now.failed_posts));
    failed.push(Span::raw(format!("   of {} requests, {} in flight", now.requests, now.in_flight)));
    let lines =
        vec![Line::from(failed), Line::raw(format!("latency, last second: median {p50}, 99 % {p99}"))];
    Paragraph::new(lines).block(Block::new().title(Line::styled("Clients", dim())))
}

/// The newest moves and blows, newest last.
fn happened(log: &Log, height: u16) -> Paragraph<'static> {
    let mut events: Vec<(Duration, String)> = moves(log).iter().map(|m| (m.at, describe(m))).collect();
    events.extend(log.marks.iter().map(|mark| (mark.at, format!("── {} Taiwan", mark.blow.title()))));
    events.sort_by_key(|(at, _)| *at);
    let lines: Vec<Line<'static>> = events
        .iter()
        .skip(events.len().saturating_sub(usize::from(height.saturating_sub(1))))
        .map(|(at, event)| Line::raw(format!("{:5.1} s  {event}", at.as_secs_f64())))
        .collect();
    Paragraph::new(lines).block(Block::new().title(Line::styled("What moved", dim())))
}

#[cfg(test)]
mod tests {
    use super::super::journal::{Blow, Mark};
    use super::super::stats::tests::{good, ms, sample};
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn screen(width: u16, height: u16) -> String {
        let mut log = Log { phase: "Taiwan is dead (SIGKILL)".to_owned(), ..Log::default() };
        log.records.extend((0..10_000).step_by(10).map(good));
        log.samples.push(sample(1_000, true, Breaker::Closed, 100));
        log.samples.push(sample(9_100, true, Breaker::Open, 0));
        log.marks.push(Mark { at: ms(9_000), blow: Blow::Kill });
        let about = ["300 requests/s".to_owned(), "shortened".to_owned()];
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &log, ms(10_000), &about)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn shows_state_traffic_and_events_on_a_small_terminal() {
        let screen = screen(80, 24);
        for text in [
            "Taiwan is dead (SIGKILL)",
            "Taiwan OUT  healthy    breaker open",
            "0 %  100/s",
            "Japan  IN   healthy    breaker closed",
            "100 %    0/s",
            "failed GET 0",
            "9.0 s  ── kill Taiwan",
            "9.1 s  Taiwan: breaker closed → open, share 100 → 0 %",
            "████",
        ] {
            assert!(screen.contains(text), "{text}\n{screen}");
        }
    }

    #[test]
    fn a_tiny_terminal_is_no_reason_to_fail() {
        for (width, height) in [(1, 1), (20, 5), (300, 100)] {
            assert!(!screen(width, height).is_empty());
        }
    }
}
