//! CUSUM: whether a level has shifted, told sooner than any single figure can (Page 1954).
//!
//! C_t = max(0, C_(t-1) + x_t - p0 - k) with k half the shift to detect, alarm where C_t is above 5 sigma
//! (DOMAIN 5.4); for a fall the same with signs turned. x_t is the proportion of day t, and sigma the standard
//! deviation that such a proportion has by chance: √(p0(1-p0)/n). Days differ in n; sigma is taken from the mean of
//! 1/n over the days up to t, so that days of equal n give the textbook's formula, and no later day changes an
//! alarm that was given.

/// Alarm above so many standard deviations.
pub const ALARM_SIGMAS: f64 = 5.0;

/// The sum so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cusum {
    level: f64,
    shift: f64,
    sum: f64,
    days: f64,
    inverses: f64,
}

/// The sum after a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CusumPoint {
    /// C_t.
    pub sum: f64,
    /// 5 sigma.
    pub limit: f64,
    /// C_t is above that.
    pub is_alarm: bool,
}

impl Cusum {
    /// Nothing summed yet, of the level p0 and the shift from it that is to be detected: a rise where it is above 0,
    /// else a fall.
    #[must_use]
    pub fn new(level: f64, shift: f64) -> Self {
        Self { level, shift, sum: 0.0, days: 0.0, inverses: 0.0 }
    }

    /// k, half the shift to detect.
    #[must_use]
    pub fn allowance(&self) -> f64 {
        self.shift.abs() / 2.0
    }

    /// Adds the next day, with `numerator` of `denominator`. A day of none says nothing: `None`, and all stays.
    pub fn add(&mut self, numerator: u64, denominator: u64) -> Option<CusumPoint> {
        if denominator == 0 {
            return None;
        }
        let n = denominator as f64;
        let above = numerator as f64 / n - self.level;
        let towards = if self.shift < 0.0 { -above } else { above };
        self.sum = (self.sum + towards - self.allowance()).max(0.0);
        self.days += 1.0;
        self.inverses += 1.0 / n;
        let sigma = (self.level * (1.0 - self.level) * self.inverses / self.days).sqrt();
        let limit = ALARM_SIGMAS * sigma;
        Some(CusumPoint { sum: self.sum, limit, is_alarm: self.sum > limit })
    }
}
