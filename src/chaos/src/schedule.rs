//! When experiments are due, as other systems are told: cron, systemd timers, Kubernetes CronJobs.
//!
//! It owns the calendar and its traps. It must never know what an experiment does.

use crate::experiment::{Every, Schedule};
use std::fmt::Write;
use std::ops::RangeInclusive;

/// One experiment that is due by a calendar.
#[derive(Clone, Debug)]
pub struct Due<'a> {
    /// Its name, which units and jobs are called by.
    pub name: &'a str,
    /// When.
    pub schedule: &'a Schedule,
    /// What runs it, as a shell takes it.
    pub command: String,
    /// What heals a target after it was broken off.
    pub abort: String,
}

impl Schedule {
    /// The days of the month that the n-th Monday can be.
    pub fn days(&self) -> RangeInclusive<u8> {
        let last = self.monday.saturating_mul(7);
        last.saturating_sub(6)..=last
    }

    fn clock(&self) -> (u8, u8) {
        self.time().unwrap_or((2, 0))
    }

    fn months(&self) -> &'static str {
        match self.every {
            Every::Month => "*",
            Every::Quarter => "1,4,7,10",
        }
    }
}

/// Days alone, never with a weekday: cron runs what names both on every such day and on every such weekday.
fn cron_fields(schedule: &Schedule) -> String {
    let (hour, minute) = schedule.clock();
    let days = schedule.days();
    format!("{minute} {hour} {}-{} {} *", days.start(), days.end(), schedule.months())
}

/// Lines for a crontab.
pub fn cron(all: &[Due<'_>]) -> String {
    let mut text = "\
# Experiments on the n-th Monday of a month, UTC. The weekday is asked for in the command, since cron takes
# a day of the month and a weekday as either, not both: `0 2 1-7 * 1` is every Monday and each of the first
# seven days. Cron of Debian and busybox know no CRON_TZ: there the machine's own time zone must be UTC.
CRON_TZ=UTC
"
    .to_owned();
    for due in all {
        // Cron makes a line's end of a bare per cent sign.
        let guard = r#"[ "$(date -u +\%u)" = 1 ]"#;
        let command = due.command.replace('%', "\\%");
        let _ = writeln!(text, "{} {guard} && {command}", cron_fields(due.schedule));
    }
    text
}

/// A timer and a service for each, with their file names.
pub fn systemd(all: &[Due<'_>], folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for due in all {
        let unit = format!("evenkeel-chaos-{}", due.name);
        let timer = format!(
            "[Unit]\nDescription=Experiment {}, when it is due\n\n[Timer]\nOnCalendar={}\n# One that was missed waits \
             for the next time: nobody expects it at another.\nPersistent=false\nAccuracySec=1s\n\n\
             [Install]\nWantedBy=timers.target\n",
            due.name,
            on_calendar(due.schedule)
        );
        let service = format!(
            "[Unit]\nDescription=Experiment {}\nAfter=network-online.target\n\n[Service]\nType=oneshot\n\
             WorkingDirectory={folder}\nExecStart=/usr/bin/env {}\n# A run that is stopped undoes everything itself; one \
             that was killed has left it to this.\nExecStopPost=-/usr/bin/env {}\nTimeoutStopSec=5min\n\
             KillMode=mixed\n",
            due.name,
            due.command.replace('%', "%%"),
            due.abort.replace('%', "%%"),
        );
        files.push((format!("{unit}.timer"), timer));
        files.push((format!("{unit}.service"), service));
    }
    files
}

/// `Mon *-*-01..07 02:00:00 UTC`: here weekday and day have to fit both.
pub fn on_calendar(schedule: &Schedule) -> String {
    let (hour, minute) = schedule.clock();
    let days = schedule.days();
    let months = match schedule.every {
        Every::Month => "*",
        Every::Quarter => "01,04,07,10",
    };
    format!("Mon *-{months}-{:02}..{:02} {hour:02}:{minute:02}:00 UTC", days.start(), days.end())
}

/// A CronJob for each. The ConfigMap `evenkeel-chaos` holds the target file and what it names.
pub fn kubernetes(all: &[Due<'_>], image: &str) -> String {
    let mut text = "\
# Experiments on the n-th Monday of a month. Kubernetes takes a day and a weekday as either, like cron: the
# weekday is asked for in the job, which does nothing on another day.
"
    .to_owned();
    for due in all {
        let script = format!("[ \"$(date -u +%u)\" = 1 ] || exit 0\nexec {}", due.command);
        let script = script.replace('\n', "\n              ");
        let _ = write!(
            text,
            "---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: evenkeel-chaos-{name}
  labels: {{app.kubernetes.io/name: evenkeel-chaos, app.kubernetes.io/component: experiment}}
spec:
  schedule: \"{fields}\"
  timeZone: Etc/UTC
  # Two experiments at once would measure each other.
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 600
  jobTemplate:
    spec:
      # A second try would strike again.
      backoffLimit: 0
      template:
        spec:
          restartPolicy: Never
          # A run that is stopped undoes everything first.
          terminationGracePeriodSeconds: 300
          containers:
          - name: chaos
            image: {image}
            command: [\"/bin/sh\", \"-c\"]
            args:
            - |
              {script}
            volumeMounts:
            - {{name: target, mountPath: /etc/evenkeel-chaos, readOnly: true}}
            - {{name: out, mountPath: /var/lib/evenkeel-chaos}}
          volumes:
          - name: target
            configMap: {{name: evenkeel-chaos}}
          - name: out
            persistentVolumeClaim: {{claimName: evenkeel-chaos}}
",
            name = due.name,
            fields = cron_fields(due.schedule),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;
    use std::process::Command;

    fn schedule(every: Every, monday: u8, at: &str) -> Schedule {
        Schedule { every, monday, at: at.to_owned() }
    }

    fn all() -> Vec<(&'static str, Schedule)> {
        catalog::ALL
            .iter()
            .filter_map(|entry| Some((entry.name, entry.experiment().expect("sound").schedule?)))
            .collect()
    }

    fn due<'a>(all: &'a [(&'static str, Schedule)]) -> Vec<Due<'a>> {
        let command = |name: &str| format!("evenkeel chaos run {name} --out 100%");
        all.iter()
            .map(|(name, schedule)| Due {
                name,
                schedule,
                command: command(name),
                abort: "evenkeel chaos abort".into(),
            })
            .collect()
    }

    /// Each month has exactly one n-th Monday among the days named, whatever its first weekday.
    #[test]
    fn exactly_one_day_of_a_month_is_the_nth_monday() {
        for monday in 1..=4u8 {
            let days = schedule(Every::Month, monday, "02:00").days();
            for first in 0..7u8 {
                let mondays: Vec<u8> = (1..=31).filter(|day| (first + day - 1) % 7 == 0).collect();
                let hit: Vec<u8> = mondays.iter().copied().filter(|day| days.contains(day)).collect();
                assert_eq!(hit, [mondays[usize::from(monday) - 1]]);
            }
        }
    }

    #[test]
    fn cron_never_names_a_day_and_a_weekday() {
        let all = all();
        let text = cron(&due(&all));
        assert!(text.contains(
            "0 2 1-7 * * [ \"$(date -u +\\%u)\" = 1 ] && evenkeel chaos run region-failure --out 100\\%\n"
        ));
        assert!(text.contains("0 4 22-28 1,4,7,10 * [ "));
        for line in text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())) {
            assert_eq!(line.split(' ').nth(4), Some("*"), "{line}");
        }
    }

    #[test]
    fn systemd_takes_every_timer() {
        assert_eq!(on_calendar(&schedule(Every::Month, 1, "02:00")), "Mon *-*-01..07 02:00:00 UTC");
        let quarter = on_calendar(&schedule(Every::Quarter, 4, "04:30"));
        assert_eq!(quarter, "Mon *-01,04,07,10-22..28 04:30:00 UTC");
        for (name, schedule) in all() {
            let expression = on_calendar(&schedule);
            // Where there is no systemd the texts above stand alone.
            let Ok(output) = Command::new("systemd-analyze").args(["calendar", &expression]).output() else {
                return;
            };
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.contains("Mon "), "{name}: {expression}: {said}");
        }
    }

    #[test]
    fn kubernetes_manifests_are_yaml_with_the_guard() {
        let all = all();
        let text = kubernetes(&due(&all), "evenkeel:1");
        for manifest in text.split("---\n").skip(1) {
            let manifest: serde_json::Value = serde_saphyr::from_str(manifest).expect("YAML");
            assert_eq!(manifest["kind"], "CronJob");
            assert_eq!(manifest["spec"]["timeZone"], "Etc/UTC");
            let container = &manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
            let script = container["args"][0].as_str().expect("a script");
            assert!(
                script.starts_with("[ \"$(date -u +%u)\" = 1 ] || exit 0\nexec evenkeel chaos run "),
                "{script}"
            );
        }
        assert_eq!(text.matches("kind: CronJob").count(), all.len());
    }
}
