"""Systems of time series: they fill gaps, forecast and draw series."""
