"""The assistants: `demo` needs nothing, `openai` speaks to any OpenAI-compatible endpoint."""

from api.chat.assistants.demo import DemoAssistant
from api.chat.assistants.protocol import Assistant
from api.core.settings import Settings


def make_assistant(settings: Settings) -> Assistant:
    """Open the assistant that the settings name. Raises SettingsError if it lacks one."""
    match settings.assistant:
        case "demo":
            return DemoAssistant(word_ms=settings.demo_word_ms)
        case "openai":
            # Its SDK takes longer to import than all the rest: no request should wait for it.
            from api.chat.assistants.openai import OpenAIAssistant  # noqa: PLC0415

            return OpenAIAssistant.from_settings(settings)
