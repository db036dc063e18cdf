"""What the gateway says to people, in Chinese and English; codes, logs and leaves stay English."""

from gateway.messages.texts import Language, language, text

__all__ = ["Language", "language", "text"]
