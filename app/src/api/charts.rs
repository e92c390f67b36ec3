use leptos::prelude::*;

use super::Rpc;
use crate::{error::ApiError, model::Series};

/// An endpoint's telemetry of the last day or, with `week`, of the last seven days.
#[server(name = LoadSeries, prefix = "/rpc", endpoint = "series", protocol = Rpc)]
pub async fn series(endpoint_id: String, week: bool) -> Result<Series, ApiError> {
    use voltaxe_orchestrator::strike::Window;

    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let id = endpoint_id.parse().map_err(|_| ApiError::NotFound)?;
            let window = if week { Window::Week } else { Window::Day };
            Ok(caller.strike.series(&caller.permit()?, &id, window, caller.now).await?.into())
        }
        .await,
    )
}

#[cfg(feature = "ssr")]
mod ssr {
    use voltaxe_orchestrator::{
        model::{SeriesPoint, Spread},
        strike,
    };

    use crate::model::{Series, series::Point};

    impl From<strike::Series> for Series {
        fn from(series: strike::Series) -> Self {
            Self {
                start: series.start.timestamp_millis(),
                step: series.step.num_milliseconds(),
                count: series.count.unsigned_abs(),
                points: series.points.into_iter().map(point).collect(),
            }
        }
    }

    fn point(point: SeriesPoint) -> Point {
        let spread = |spread: Spread| [spread.least, spread.mean, spread.most];
        Point {
            at: u32::try_from(point.bucket).unwrap_or_default(),
            load: spread(point.load),
            memory: point.memory.map(spread),
            disk: point.disk.map(spread),
            isolated: point.isolated,
        }
    }
}
