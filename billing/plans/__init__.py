"""What an account has subscribed to: plans, meters, subscriptions, fees."""
