"""When should it retrain? `modelwright rehearse examples/electricity/system.py --compare examples/electricity/policies.py`."""

from modelwright import retrain

policies = {
    "never": [],
    "yearly": [retrain.every("365d")],
    "monthly": [retrain.every("30d")],
    "weekly": [retrain.every("7d")],
    "on decay": [retrain.on_decay(drop=0.05)],
    "on drift": [retrain.on_drift()],
    "monthly, on decay": [retrain.every("30d"), retrain.on_decay(drop=0.05)],
    "every 90 days, on drift": [retrain.every("90d"), retrain.on_drift()],
}
