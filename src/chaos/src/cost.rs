//! What an outage costs: orders per minute, times what an order is worth, times the minutes.
//!
//! It owns the formula and money that does not drift. It must never know a run or a page.

use crate::journal::Ms;
use evenkeel_config::Business;
use std::fmt;
use std::iter::Sum;
use std::ops::Add;

/// Minutes of a year of 365 days.
pub const YEAR: f64 = 525_600.0;

/// Minutes of a month of 30 days, which budgets count by.
pub const MONTH: f64 = 43_200.0;

/// An amount in hundredths of the currency's main unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(pub u128);

impl Add for Cents {
    type Output = Cents;
    fn add(self, other: Cents) -> Cents {
        Cents(self.0.saturating_add(other.0))
    }
}

impl Sum for Cents {
    fn sum<I: Iterator<Item = Cents>>(amounts: I) -> Cents {
        amounts.fold(Cents::default(), Add::add)
    }
}

/// `5,100`, `0.57`, `12.50`: hundredths are shown below 1,000 alone, where they are not 0.
impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cents(cents) = *self;
        if cents < 100_000 && !cents.is_multiple_of(100) {
            return write!(f, "{}.{:02}", cents / 100, cents % 100);
        }
        f.write_str(&thousands((cents + 50) / 100))
    }
}

/// `1,234,567`.
pub fn thousands(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What `downtime` costs when no order is taken in it. Rounded to the nearest hundredth, once.
pub fn cost(business: &Business, downtime: Ms) -> Cents {
    // A negative or unknown time becomes 0 by this conversion; a year is far from its end.
    let micros = (downtime * 1000.0).round() as u64;
    let (orders, value) = (business.orders_per_minute.thousandths(), business.order_value.thousandths());
    // Thousandths times thousandths times microseconds of a minute, down to hundredths.
    let scale: u128 = 1000 * 1000 * 60_000_000 / 100;
    let product = u128::from(orders).saturating_mul(u128::from(value)).saturating_mul(u128::from(micros));
    Cents(product.saturating_add(scale / 2) / scale)
}

/// Minutes that `percent` of availability leaves of `minutes`: the error budget.
pub fn budget(percent: f64, minutes: f64) -> f64 {
    (100.0 - percent) / 100.0 * minutes
}

/// What is earned by an expense, in per cent of it: the seed's "ROI". None: nothing was spent.
pub fn return_percent(earned: Cents, spent: Cents) -> Option<f64> {
    (spent.0 > 0).then(|| 100.0 * earned.0 as f64 / spent.0 as f64)
}

/// The nines of an availability: 99.9 % has three.
pub fn nines(percent: f64) -> f64 {
    -((100.0 - percent) / 100.0).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_config::Decimal;

    const MINUTE: Ms = 60_000.0;

    /// The seed's shop: 60 orders a minute of $85 each.
    fn seed() -> Business {
        Business {
            orders_per_minute: Decimal::from_thousandths(60_000),
            order_value: Decimal::from_thousandths(85_000),
            currency: "USD".to_owned(),
        }
    }

    fn dollars(minutes: f64) -> u128 {
        let Cents(cents) = cost(&seed(), minutes * MINUTE);
        assert_eq!(cents % 100, 0, "{minutes}");
        cents / 100
    }

    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 0.005, "{value} is not {expected}");
    }

    #[test]
    fn a_minute_an_hour_and_a_day_cost_what_the_seed_says() {
        assert_eq!(dollars(1.0), 5_100);
        assert_eq!(dollars(60.0), 306_000);
        // The seed rounds this to $7.3M.
        assert_eq!(dollars(24.0 * 60.0), 7_344_000);
    }

    /// The seed calls $2.68M the revenue at risk "per hour of downtime". It is a year's at 99.9 %.
    #[test]
    fn what_the_seed_calls_an_hour_is_a_year_at_three_nines() {
        assert_eq!(dollars(60.0), 306_000);
        near(budget(99.9, YEAR), 525.6);
        assert_eq!(dollars(budget(99.9, YEAR)), 2_680_560);
    }

    /// The seed says $52,560 a year. 52.56 are the *minutes* that 99.99 % allows.
    #[test]
    fn a_fourth_nine_is_worth_more_than_the_seed_says() {
        near(budget(99.99, YEAR), 52.56);
        assert_eq!(dollars(budget(99.9, YEAR) - budget(99.99, YEAR)), 2_412_504);
    }

    #[test]
    fn incidents_add_up_to_what_the_seed_says() {
        assert_eq!([15.0, 8.0, 24.0].map(dollars), [76_500, 40_800, 122_400]);
        assert_eq!(dollars(15.0 + 8.0 + 24.0), 239_700);
    }

    /// The monthly table has the same sum by chance: it gives the partition of November 4 minutes, and its
    /// incident 24.
    #[test]
    fn the_months_add_up_and_disagree_with_the_incidents() {
        let months = [5.0, 12.0, 3.0, 15.0, 8.0, 4.0];
        assert_eq!(months.map(dollars), [25_500, 61_200, 15_300, 76_500, 40_800, 20_400]);
        let all: Cents = months.into_iter().map(|minutes| cost(&seed(), minutes * MINUTE)).sum();
        assert_eq!(all, Cents(23_970_000));
        let with_the_incident = [5.0, 12.0, 3.0, 15.0, 8.0, 24.0].iter().sum::<f64>();
        assert_eq!((with_the_incident, dollars(with_the_incident)), (67.0, 341_700));
    }

    /// The seed says 889 % and 888 % for the same quotient.
    #[test]
    fn the_return_is_888_per_cent() {
        let month = return_percent(Cents(23_970_000 / 6), Cents(450_000)).unwrap();
        let year = return_percent(Cents(47_940_000), Cents(5_400_000)).unwrap();
        near(month, 887.78);
        near(year, 887.78);
        // Return on investment, strictly, is what is left after the expense.
        near(month - 100.0, 787.78);
        near(return_percent(Cents(4_500), Cents(5_000)).unwrap(), 90.0);
        assert_eq!(return_percent(Cents(1), Cents(0)), None);
    }

    #[test]
    fn months_of_30_days_have_the_downtime_that_the_seed_says() {
        let months = [99.95, 99.98, 99.99, 99.96, 99.98, 99.97];
        // The seed's last is 12.9: cut off rather than rounded.
        for (percent, minutes) in months.into_iter().zip([21.6, 8.64, 4.32, 17.28, 8.64, 12.96]) {
            near(budget(percent, MONTH), minutes);
        }
        let mean = months.iter().sum::<f64>() / 6.0;
        near(mean, 99.97);
        // 12.2, from the mean before it is rounded; 99.97 % itself would be 12.96.
        near(budget(mean, MONTH), 12.24);
        // Its goal of 99.99 % allows 4.32: the mean is 2.8 times that.
        near(budget(mean, MONTH) / budget(99.99, MONTH), 2.83);
    }

    #[test]
    fn nines_are_fewer_than_the_seed_says() {
        near(nines(99.99), 4.0);
        // "3.5 nines" there.
        near(nines(99.95), 3.30);
        // "3.7 nines" there.
        near(nines(99.97), 3.52);
    }

    #[test]
    fn money_does_not_drift() {
        let odd = Business {
            orders_per_minute: Decimal::from_thousandths(125),
            order_value: Decimal::from_thousandths(19_900),
            currency: "USD".to_owned(),
        };
        // 0.125 × 19.90 = 2.4875 a minute.
        assert_eq!(cost(&odd, MINUTE), Cents(249));
        assert_eq!(cost(&odd, 1000.0 * MINUTE), Cents(248_750));
        assert_eq!(cost(&odd, 0.0), Cents(0));
        assert_eq!(cost(&odd, -1.0), Cents(0));
        assert_eq!(cost(&odd, Ms::NAN), Cents(0));
        let dearest = Business {
            orders_per_minute: Decimal::from_thousandths(1_000_000_000),
            order_value: Decimal::from_thousandths(1_000_000_000),
            currency: "USD".to_owned(),
        };
        assert_eq!(cost(&dearest, 525_600.0 * MINUTE), Cents(525_600 * 100_000_000_000_000));
    }

    #[test]
    fn amounts_are_shown_for_people() {
        for (cents, text) in [
            (0, "0"),
            (57, "0.57"),
            (1250, "12.50"),
            (510_000, "5,100"),
            (23_970_049, "239,700"),
            (23_970_050, "239,701"),
            (268_056_000, "2,680,560"),
        ] {
            assert_eq!(Cents(cents).to_string(), text);
        }
    }
}
